"""Products on a scale: the cheapest, the largest, one larger than that. By catalogue prices and by sizes in titles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from agent.language.references import Extreme
from agent.ports import Product
from retrieval.analysis.pipeline import analyse
from retrieval.analysis.tokens import TokenKind

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)([a-z]+\d?)")


def extreme_of(products: Sequence[Product], extreme: Extreme) -> Product | None:
    """The product at that end of the scale, the earliest of equals; None where nothing can be compared."""
    scored = _scored(products, extreme)
    if not scored:
        return None
    sign = 1 if extreme in _ASCENDING else -1
    return min(scored, key=lambda entry: (sign * entry[0], entry[1]))[2]


def beyond(products: Sequence[Product], than: Product, extreme: Extreme) -> list[Product]:
    """The products that have more of it than this one, the nearest first."""
    scale = _scale_of(than, extreme)
    own = _value(than, extreme, scale)
    if own is None:
        return []
    sign = 1 if extreme in _ASCENDING else -1
    found = []
    for place, product in enumerate(products):
        value = _value(product, extreme, scale)
        if value is not None and product.sku != than.sku and sign * value < sign * own:
            found.append((-sign * value, place, product))
    return [product for _, _, product in sorted(found, key=lambda entry: entry[:2])]


_ASCENDING: Final = frozenset({Extreme.CHEAPEST, Extreme.SMALLEST})
_BY_PRICE: Final = frozenset({Extreme.CHEAPEST, Extreme.DEAREST})


def _scored(products: Sequence[Product], extreme: Extreme) -> list[tuple[Decimal, int, Product]]:
    scale = "" if extreme in _BY_PRICE else _common_scale(products)
    values = ((_value(product, extreme, scale), place, product) for place, product in enumerate(products))
    return [(value, place, product) for value, place, product in values if value is not None]


def _value(product: Product, extreme: Extreme, scale: str) -> Decimal | None:
    if extreme in _BY_PRICE:
        return product.price
    return dict(_sizes(product.title)).get(scale)


def _scale_of(product: Product, extreme: Extreme) -> str:
    if extreme in _BY_PRICE:
        return ""
    return next((unit for unit, _ in _sizes(product.title)), "")


def _common_scale(products: Sequence[Product]) -> str:
    """The kind of size that most of the products have."""
    counts: dict[str, int] = {}
    for product in products:
        for unit in dict(_sizes(product.title)):
            counts[unit] = counts.get(unit, 0) + 1
    return max(counts, key=lambda unit: counts[unit], default="")


def _sizes(title: str) -> list[tuple[str, Decimal]]:
    """The sizes of a title as (base unit, value), in its order, the first of each unit; bare numbers have no unit."""
    found: dict[str, Decimal] = {}
    for token in analyse(title).tokens:
        match = _SIZE.fullmatch(token.text) if token.kind is TokenKind.MEASURE else None
        if match:
            found.setdefault(match[2], Decimal(match[1]))
        elif token.kind is TokenKind.NUMBER and token.text.isdigit() and len(token.text) <= 4:
            found.setdefault("", Decimal(token.text))
    return list(found.items())
