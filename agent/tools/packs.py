"""From what a person counts (boxes, feet, dozens) to what the tenant counts: the product's own selling unit.

Where the two are the same, or the catalogue does not say, the number stands. Lengths, weights and volumes are converted
exactly and rounded up to whole units; dozens of a product that is sold by the dozen are dozens. What cannot be converted
stands as it was said; where the catalogue packs the product in another way than was asked for (`2 cajas de 1000` of what it
has as `x 100 unid.`), that is a mismatch, which the reply points out.

The catalogue says the packing in three places: in the unit itself (`Caja x 10`, `CTO`), in the title (`Remaches x 1000 unid.`,
`BOLSA/100PZ`), or in attributes named after the package (`caja: 1050`). The first two say what is sold; the third only
says what a larger package holds. Sizes (`3.5 x 14 mm`, `bolsa 25 kg`) are no packs: a number counts as one only where
a word for pieces follows, or where a package stands before it and no unit of size after it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from agent.conversation.products import Product
from agent.language.numbers import MULTIPLES
from agent.language.quantities import MEASURED, PACKAGES
from retrieval.analysis.folding import fold
from retrieval.analysis.measures import UNITS
from runtime.bounded_cache import remembered

_MEASURES: Final[dict[str, tuple[str, Fraction]]] = {
    "metro": ("length", Fraction(1)),
    "pie": ("length", Fraction("0.3048")),
    "yarda": ("length", Fraction("0.9144")),
    "kilo": ("mass", Fraction(1)),
    "libra": ("mass", Fraction("0.45359237")),
    "quintal": ("mass", Fraction("45.359237")),
    "litro": ("volume", Fraction(1)),
    "galon": ("volume", Fraction("3.785411784")),
}
_PIECE: Final = "unidad"
_LONGEST_NUMBER: Final = 7
"""Digits of a number of pieces; a longer one is none, and Python refuses to read it from 4,300 on."""
_UNIT_SPELLINGS: Final = {
    "rll": "rollo",
    "rol": "rollo",
    "cja": "caja",
    "pqt": "paquete",
    "gln": "galon",
    "kil": "kilo",
    "tbo": "cartucho",
    "sac": "bolsa",
    "bls": "bolsa",
}


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
_PACKING: Final = frozenset({"caja", "bolsa", "paquete"})
_PIECES: Final = r"(?:unidades|unidad|unids?|unds?|uds?|piezas?|pzas?|pzs?|pcs?|pieces?|units?|pecas?)"
_NO_SIZE: Final = rf"(?!\d|[.,/\"'%]\d|\s*(?:[\"'%]|(?:{'|'.join(sorted(map(re.escape, UNITS), key=len, reverse=True))})(?![a-z])|x\s*\d))"
_NAMED: Final = re.compile(
    rf"\b(?P<package>{'|'.join(sorted((word for word, package in PACKAGES.items() if package in _PACKING and len(word) > 2), key=len, reverse=True))})"
    rf"\s*(?:x|de|con|c/|of|/)\s*(?P<size>\d{{1,6}})(?:\s*{_PIECES}\b|{_NO_SIZE})"
)
_COUNTED: Final = re.compile(rf"(?:\bx\s?|\bc/\s?|\bcon |/|\()(?P<size>\d{{1,6}})\s*{_PIECES}\b\.?")
_IN_UNIT: Final = re.compile(r"(?:x|de|con|c/|of)\s*(?P<size>\d{1,6})\b(?!\s*(?:m|mt|mts|cm|mm|kg|g|l|lt)\b)")


class PackMismatch(StrEnum):
    """What of a count does not go with how the tenant sells the product."""

    SIZE = "pack_size"
    """Another number of pieces in a package."""
    UNIT = "pack_unit"
    """Sold by another unit."""
    UNSAID = "pack_unsaid"
    """The catalogue does not say how many pieces one holds."""


@dataclass(frozen=True, slots=True)
class SellingQuantity:
    """How much in the selling unit, how the catalogue packs it, and whether the number was converted.

    `mismatch` says that the person counted otherwise than the tenant does.
    """

    quantity: Decimal
    pack: str = ""
    converted: bool = False
    mismatch: PackMismatch | None = None


def selling_quantity(product: Product, count: Decimal, *, package: str = "", lot: str = "") -> SellingQuantity:
    """What `count` of a package or measure is in the product's own unit.

    `lot` is the word that multiplied (`docena`; the count holds it already), or how many one package was said to hold
    (`1000` of `2 cajas de 1000`).
    """
    unit, packing = _unit_of(product), packing_of(product)
    sold_by_lot = LOT_UNITS.get(fold(product.unit).rstrip("."), "")
    if lot and sold_by_lot and MULTIPLES.get(lot) == MULTIPLES[sold_by_lot]:
        return SellingQuantity(count / MULTIPLES[sold_by_lot], packing.text, converted=True)
    measure = PACKAGES.get(fold(package), package)
    asked = _MEASURES.get(measure)
    sold = _MEASURES.get(unit)
    if asked and sold and measure != unit and asked[0] == sold[0]:
        exact = Fraction(count) * asked[1] / sold[1]
        quantity = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(Decimal("0.001"))
        return SellingQuantity(
            quantity.to_integral_value(rounding=ROUND_CEILING), packing.text or product.unit, converted=True
        )
    pieces = int(lot) if lot.isdecimal() and len(lot) <= _LONGEST_NUMBER else 0
    return SellingQuantity(count, packing.text, mismatch=_mismatch(packing, unit, measure, pieces))


def _mismatch(packing: Packing, unit: str, package: str, pieces: int) -> PackMismatch | None:
    """Whether `package` (empty: none was said) of `pieces` (0: not said) is another thing than one selling unit."""
    if pieces:
        if packing.size:
            return PackMismatch.SIZE if packing.size != pieces else None
        return PackMismatch.UNIT if unit and unit != package else PackMismatch.UNSAID
    if package == _PIECE:
        return PackMismatch.SIZE if packing.in_unit and packing.size > 1 else None
    if package and unit and package != unit and not packing.size:
        return PackMismatch.UNIT
    return None


def _unit_of(product: Product) -> str:
    words = fold(product.unit).replace(".", "").split()
    return next(
        (_UNIT_SPELLINGS.get(word) or PACKAGES[word] for word in words if word in PACKAGES or word in _UNIT_SPELLINGS),
        "",
    )


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
