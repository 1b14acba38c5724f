"""How the catalogue packs a product: what one selling unit holds, and what its boxes and bags hold.

Shops say it in three places: in the unit itself (`Caja x 10`, `CTO`), in the title (`Remaches x 1000 unid.`,
`BOLSA/100PZ`), or in attributes named after the package (`caja: 1050`). The first two say what is sold; the third only
says what a larger package holds. Sizes (`3.5 x 14 mm`, `bolsa 25 kg`) are no packs: a number counts as one only where
a word for pieces follows, or where a package stands before it and no unit of size after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from agent.language.numbers import MULTIPLES
from agent.language.quantities import MEASURED, PACKAGES
from agent.ports import Product
from retrieval.analysis.folding import fold
from retrieval.analysis.measures import UNITS
from runtime.bounded_cache import remembered

LOT_UNITS: Final = {
    "doc": "docena",
    "docena": "docena",
    "dozen": "docena",
    "par": "par",
    "pair": "par",
    "cto": "ciento",
    "ciento": "ciento",
    "mil": "millar",
    "millar": "millar",
}
"""Selling unit to the lot that it is."""

_LONGEST: Final = 128
_LONGEST_NUMBER: Final = 7
"""Digits of a number of pieces; a longer one is none, and Python refuses to read it from 4,300 on."""
_PACKING: Final = frozenset({"caja", "bolsa", "paquete"})
_PIECES: Final = r"(?:unidades|unidad|unids?|unds?|uds?|piezas?|pzas?|pzs?|pcs?|pieces?|units?|pecas?)"
_NO_SIZE: Final = rf"(?!\d|[.,/\"'%]\d|\s*(?:[\"'%]|(?:{'|'.join(sorted(map(re.escape, UNITS), key=len, reverse=True))})(?![a-z])|x\s*\d))"
_NAMED: Final = re.compile(
    rf"\b(?P<package>{'|'.join(sorted((word for word, package in PACKAGES.items() if package in _PACKING and len(word) > 2), key=len, reverse=True))})"
    rf"\s*(?:x|de|con|c/|of|/)\s*(?P<size>\d{{1,6}})(?:\s*{_PIECES}\b|{_NO_SIZE})"
)
_COUNTED: Final = re.compile(rf"(?:\bx\s?|\bc/\s?|\bcon |/|\()(?P<size>\d{{1,6}})\s*{_PIECES}\b\.?")
_IN_UNIT: Final = re.compile(r"(?:x|de|con|c/|of)\s*(?P<size>\d{1,6})\b(?!\s*(?:m|mt|mts|cm|mm|kg|g|l|lt)\b)")


@dataclass(frozen=True, slots=True)
class Packing:
    """How a product is packed: `size` pieces in one selling unit (0: not said), `text` in the catalogue's words.

    `in_unit`: it is the selling unit that says so. `holds` is what each larger package holds.
    """

    size: int
    text: str
    in_unit: bool
    holds: Mapping[str, int]


def packing_of(product: Product) -> Packing:
    """What the catalogue says of a product's packing."""
    holds = _containers(product.attributes)
    said, size, in_unit = _sold_as(product.unit, product.title)
    larger = ", ".join(f"{package} {held}" for package, held in holds.items())
    return Packing(size, "; ".join(filter(None, [said, larger]))[:_LONGEST], in_unit, holds)


_REMEMBERED_BYTES: Final = 4 * 1024 * 1024


@remembered("pack_sizes", max_bytes=_REMEMBERED_BYTES)
def _sold_as(unit: str, title: str) -> tuple[str, int, bool]:
    """(the catalogue's words, the pieces of one selling unit, whether the unit says so)."""
    folded = fold(unit)
    lot = LOT_UNITS.get(folded.rstrip("."), "")
    if lot:
        return unit, int(MULTIPLES[lot]), True
    in_unit = _IN_UNIT.search(folded)
    if in_unit:
        return unit, int(in_unit["size"]), True
    spoken = fold(title)
    found = _NAMED.search(spoken) or _COUNTED.search(spoken)
    if found and int(found["size"]) > 1:
        return found[0].strip(" (/"), int(found["size"]), False
    return (unit if any(map(str.isdigit, unit)) else ""), 0, False


def _containers(attributes: Mapping[str, str]) -> dict[str, int]:
    packages = ((PACKAGES.get(fold(name), ""), value.strip()) for name, value in attributes.items())
    return {
        package: int(value) for package, value in packages if package and package not in MEASURED and _is_size(value)
    }


def _is_size(value: str) -> bool:
    return value.isdecimal() and len(value) <= _LONGEST_NUMBER and 1 < int(value) <= 1_000_000
