"""Products as cards: what is shown, and why it is there."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from agent.conversation.state import Card
from agent.conversation.texts import (
    LONGEST_BRAND,
    LONGEST_CURRENCY,
    LONGEST_IMAGE,
    LONGEST_TITLE,
    LONGEST_UNIT,
    bounded,
)
from agent.ports import FoundProduct, Product
from agent.resolve.matching import held, slots, terms

_AROUND_WORDS: Final = ".,;:!?¡¿()"


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


def found_card(found: FoundProduct, text: str, *, weak: bool) -> Card:
    """A hit as a card: its retrievers, then the words of the request that it holds, as they were written."""
    product = found.product
    own = terms(product.title, product.brand, product.category, product.sku)
    words = (word.strip(_AROUND_WORDS) for word in text.split())
    matched = dict.fromkeys(word for word in words if any(held(slot, own) > 0 for slot in slots(word)))
    return card_of(product, matched=[*found.signals, *matched], weak=weak)


def plain(number: Decimal) -> str:
    """Decimal text without exponent and without trailing zeros: `12.5`, `100`."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
