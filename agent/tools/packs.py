"""From what a person counts (boxes, feet, dozens) to what the shop counts: the product's own selling unit.

Where the two are the same, or the shop does not say, the number stands. Lengths, weights and volumes are converted
exactly and rounded up to whole units where the shop sells whole ones; dozens of a product that is sold by the dozen are
dozens. What cannot be converted stands as it was said and the reply names the unit, so that the person sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from typing import Final

from agent.language.numbers import MULTIPLES
from agent.language.quantities import PACKAGES
from agent.ports import Product
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
_LOT_UNITS: Final = {
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


@dataclass(frozen=True, slots=True)
class SellingQuantity:
    """How much in the selling unit, how the shop packs it (empty: as said), and whether the number was converted."""

    quantity: Decimal
    pack: str = ""
    converted: bool = False


def selling_quantity(product: Product, count: Decimal, *, package: str = "", lot: str = "") -> SellingQuantity:
    """What `count` of a package or measure is in the product's own unit."""
    unit = _unit_of(product)
    sold_by_lot = _LOT_UNITS.get(fold(product.unit).rstrip("."), "")
    if lot and sold_by_lot and MULTIPLES.get(lot) == MULTIPLES[sold_by_lot]:
        return SellingQuantity(count / MULTIPLES[sold_by_lot], pack=product.unit, converted=True)
    asked = _MEASURES.get(package)
    sold = _MEASURES.get(unit)
    if asked and sold and package != unit and asked[0] == sold[0]:
        exact = Fraction(count) * asked[1] / sold[1]
        quantity = (Decimal(exact.numerator) / Decimal(exact.denominator)).quantize(Decimal("0.001"))
        return SellingQuantity(quantity.to_integral_value(rounding=ROUND_CEILING), pack=product.unit, converted=True)
    return SellingQuantity(count, pack=product.unit if _says_pack(product.unit) else "")


def _unit_of(product: Product) -> str:
    words = fold(product.unit).replace(".", "").split()
    return next(
        (_UNIT_SPELLINGS.get(word) or PACKAGES[word] for word in words if word in PACKAGES or word in _UNIT_SPELLINGS),
        "",
    )


def _says_pack(unit: str) -> bool:
    """Whether a unit tells what one holds: `Caja x 10`, `tramo 3 m`."""
    return any(character.isdigit() for character in unit)
