"""From what a person counts (boxes, feet, dozens) to what the shop counts: the product's own selling unit.

Where the two are the same, or the shop does not say, the number stands. Lengths, weights and volumes are converted
exactly and rounded up to whole units where the shop sells whole ones; dozens of a product that is sold by the dozen are
dozens. What cannot be converted stands as it was said; where the catalogue packs the product in another way than was
asked for (`2 cajas de 1000` of what it has as `x 100 unid.`), that is a mismatch, which the reply points out.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from agent.language.numbers import MULTIPLES
from agent.language.quantities import PACKAGES
from agent.ports import Product
from agent.tools.pack_sizes import LOT_UNITS, Packing, packing_of
from retrieval.analysis.folding import fold

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
"""Digits of a number of pieces."""
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


class PackMismatch(StrEnum):
    """What of a count does not go with how the shop sells the product."""

    SIZE = "pack_size"
    """Another number of pieces in a package."""
    UNIT = "pack_unit"
    """Sold by another unit."""
    UNSAID = "pack_unsaid"
    """The catalogue does not say how many pieces one holds."""


@dataclass(frozen=True, slots=True)
class SellingQuantity:
    """How much in the selling unit, how the catalogue packs it, and whether the number was converted.

    `mismatch` says that the person counted otherwise than the shop does.
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
