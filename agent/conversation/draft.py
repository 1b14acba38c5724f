"""The open order as a value: every change gives a new draft. Pure; prices and limits come in as arguments.

Whatever a line holds is bounded here, when it is added, so that an order that was taken can always be submitted.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from agent.conversation.cards import plain
from agent.conversation.state import Draft, DraftLine
from agent.conversation.texts import (
    LONGEST_CURRENCY,
    LONGEST_PACK,
    LONGEST_TITLE,
    LONGEST_UNIT,
    bounded,
)
from agent.orders.model import Order, OrderLine
from agent.ports import Product
from schemas.identity import TenantId

_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:ferroflux:order")

_ORDER_FRAME: Final = 2_048
"""Bytes of an order's record beside its lines: names, ids, the customer, times, the total, the record's header."""

_LINE_FRAME: Final = 192
"""Bytes of a line beside its texts: the fields' names, and its numbers at their longest."""


def empty_draft(tenant: str, thread: str, serial: int) -> Draft:
    """The thread's order number `serial`, without lines. Its id is the same wherever it is derived."""
    return Draft(order_id=uuid.uuid5(_NAMESPACE, f"{tenant}/{thread}/{serial}").hex, serial=serial, lines=[])


def line_of(draft: Draft, sku: str) -> DraftLine | None:
    """The line of a SKU."""
    return next((line for line in draft["lines"] if line["sku"] == sku), None)


def with_quantity(draft: Draft, product: Product, quantity: Decimal, *, pack: str = "") -> Draft:
    """The draft with exactly this much of a product: its line changed in its place, or put at the end."""
    before = line_of(draft, product.sku)
    line = DraftLine(
        sku=product.sku,
        title=bounded(product.title, LONGEST_TITLE),
        quantity=plain(quantity),
        unit=bounded(product.unit, LONGEST_UNIT),
        pack=bounded(pack, LONGEST_PACK),
        price_shown=None if product.price is None else plain(product.price),
        currency=bounded(product.currency, LONGEST_CURRENCY),
    )
    lines = [line if each["sku"] == product.sku else each for each in draft["lines"]]
    return Draft(order_id=draft["order_id"], serial=draft["serial"], lines=lines if before else [*lines, line])


def without(draft: Draft, sku: str) -> Draft:
    """The draft without a SKU's line."""
    lines = [line for line in draft["lines"] if line["sku"] != sku]
    return Draft(order_id=draft["order_id"], serial=draft["serial"], lines=lines)


def draft_bytes(draft: Draft) -> int:
    """How many bytes the record of this order has at most when it is submitted."""
    return _ORDER_FRAME + sum(map(_line_bytes, draft["lines"]))


def _line_bytes(line: DraftLine) -> int:
    texts = [line["sku"], line["title"], line["unit"], line["pack"]]
    return _LINE_FRAME + len(json.dumps(texts, ensure_ascii=False).encode())


def order_of(draft: Draft, tenant: TenantId, thread: str, customer: str, items: Mapping[str, Product]) -> Order:
    """The order as it stands: prices and stock of now beside the prices that were shown.

    A product that the shop no longer has keeps its line, without a price and with no stock.
    """
    lines = []
    for line in draft["lines"]:
        product = items.get(line["sku"])
        shown = line["price_shown"]
        lines.append(
            OrderLine(
                sku=line["sku"],
                title=line["title"],
                quantity=Decimal(line["quantity"]),
                unit=line["unit"],
                pack=line["pack"],
                price_shown=None if shown is None else Decimal(shown),
                price=None if product is None else product.price,
                stock=Decimal(0) if product is None else product.stock,
            )
        )
    currency = next((line["currency"] for line in draft["lines"] if line["currency"]), "")
    return Order(tenant, draft["order_id"], thread, tuple(lines), currency, customer)


def repriced(draft: Draft, items: Mapping[str, Product]) -> Draft:
    """The draft with the prices of now as those that were shown: called once they have been."""
    lines = []
    for line in draft["lines"]:
        product = items.get(line["sku"])
        price = None if product is None or product.price is None else plain(product.price)
        lines.append(DraftLine(**{**line, "price_shown": price}))
    return Draft(order_id=draft["order_id"], serial=draft["serial"], lines=lines)
