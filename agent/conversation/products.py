"""Products as the catalogue has them, and as cards: what is shown, and why. Texts are bounded, and hold nothing that a store refuses."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from agent.conversation.state import Card


@dataclass(frozen=True, slots=True)
class Product:
    """A product as the catalogue has it now. A price of zero in the source is no price: `price` is None then."""

    sku: str
    title: str
    brand: str = ""
    category: str = ""
    unit: str = ""
    price: Decimal | None = None
    currency: str = ""
    stock: Decimal | None = None
    image: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundProduct:
    """A product of a search and how it was found: retriever to that retriever's own score."""

    product: Product
    score: float
    signals: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Found:
    """The answer of a search, best first. `confident` false: the tenant probably has nothing of the kind.

    `low_confidence` is search's own reason to think so (empty: none), which `confident` has weighed.
    """

    products: tuple[FoundProduct, ...]
    confident: bool
    total: int = 0
    degraded: tuple[str, ...] = ()
    low_confidence: str = ""


def card_of(product: Product, *, matched: Iterable[str] = (), weak: bool = False) -> Card:
    """A product as a card."""
    return Card(
        sku=product.sku,
        title=bounded(product.title, LONGEST_TITLE),
        brand=bounded(product.brand, LONGEST_BRAND),
        unit=bounded(product.unit, LONGEST_UNIT),
        price=None if product.price is None else plain(product.price),
        currency=bounded(product.currency, LONGEST_CURRENCY),
        stock=None if product.stock is None else plain(product.stock),
        # The beginning of an address leads nowhere.
        image=product.image if len(product.image) <= LONGEST_IMAGE else "",
        matched=list(matched),
        weak=weak,
    )


def plain(number: Decimal) -> str:
    """Decimal text without exponent and without trailing zeros: `12.5`, `100`."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


LONGEST_SKU: Final = 256
LONGEST_TITLE: Final = 300
LONGEST_BRAND: Final = 120
LONGEST_UNIT: Final = 64
LONGEST_PACK: Final = 128
LONGEST_CURRENCY: Final = 8
LONGEST_IMAGE: Final = 2_048
"""Characters, as wide as the columns of the orders' tables where there is one. A title is there to be recognised by: of one
that is a whole description its beginning is enough, for the SKU says which product it is."""

_UNSTORABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def bounded(text: str, longest: int) -> str:
    """The text in one line, and no longer than that: what was cut off is an ellipsis."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return _UNSTORABLE.sub(" ", text)
