"""Selling units in the number that a quantity asks for: `1 pieza`, `25 piezas`. Abbreviations stay as the shop writes them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from retrieval.analysis.folding import fold

_IN_PAIRS: Final = (
    "pieza piezas unidad unidades caja cajas bolsa bolsas saco sacos bulto bultos paquete paquetes rollo rollos tramo "
    "tramos barra barras hoja hojas plancha planchas lamina láminas juego juegos lata latas bote botes cubeta cubetas "
    "balde baldes cartucho cartuchos tubo tubos galon galones litro litros metro metros pie pies kilo kilos kilogramo "
    "kilogramos libra libras yarda yardas atado atados par pares docena docenas ciento cientos millar millares bobina "
    "bobinas carrete carretes piece pieces box boxes bag bags pack packs roll rolls sheet sheets set sets can cans "
    "bucket buckets gallon gallons meter meters foot feet pair pairs dozen dozens"
)
_PLURALS: Final[Mapping[str, str]] = dict(zip(_IN_PAIRS.split()[::2], _IN_PAIRS.split()[1::2], strict=True))
"""Folded singular to plural."""


def unit_for(quantity: Decimal, unit: str) -> str:
    """The unit beside this quantity, in the letters' case in which the shop writes it."""
    plural = _PLURALS.get(fold(unit))
    if plural is None or quantity == 1:
        return unit
    if unit.isupper():
        return plural.upper()
    return plural.capitalize() if unit[:1].isupper() else plural
