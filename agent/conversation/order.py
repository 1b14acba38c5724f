"""An order: its lines, its money in exact decimals, its states, the digest of what a person confirmed; and the open one, the draft.

Nothing here reads a clock, a database or a catalogue: prices are what the catalogue gave, and limits come in as arguments.
A line without a price stays in the order and is said to be unpriced, for a total that leaves it out in silence would be
wrong. Whatever a line of a draft holds is bounded when it is added, so that an order that was taken can always be submitted.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from agent.conversation.products import (
    LONGEST_CURRENCY,
    LONGEST_PACK,
    LONGEST_TITLE,
    LONGEST_UNIT,
    Product,
    bounded,
    plain,
)
from agent.conversation.state import Draft, DraftLine
from schemas.errors import InvalidRequestError
from schemas.identity import TenantId
from schemas.records.orders import CENT, OrderLine

_ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")


class OrderStatus(StrEnum):
    """Where an order stands. It only ever goes from the first to one of the others."""

    OFFERED = "awaiting_confirmation"
    """Shown to the person, who has not said yes."""
    SUBMITTED = "submitted"
    """Confirmed; its event is in the outbox or in the log."""
    WITHDRAWN = "withdrawn"
    """The person emptied it, or the conversation was deleted, before it was confirmed."""


@dataclass(frozen=True, slots=True)
class OrderApart:
    """Why the log will never take a submitted order as it is, and since when that is known (microseconds)."""

    reason: str
    detail: str
    since_us: int


@dataclass(frozen=True, slots=True)
class Order:
    """One order of one tenant's customer. Times are microseconds since 1970; 0 while the store has not seen it."""

    tenant: TenantId
    order_id: str
    thread: str
    lines: tuple[OrderLine, ...]
    currency: str = ""
    customer: str = ""
    status: OrderStatus = OrderStatus.OFFERED
    created_us: int = 0
    updated_us: int = 0
    submitted_us: int | None = None
    published_us: int | None = None
    apart: OrderApart | None = None

    def __post_init__(self) -> None:
        """Number the lines."""
        numbered = tuple(
            line if line.position == place else line.model_copy(update={"position": place})
            for place, line in enumerate(self.lines, start=1)
        )
        object.__setattr__(self, "lines", numbered)

    @property
    def total(self) -> Decimal:
        """The sum of the lines that have a price, to the cent; `unpriced` says how many have none."""
        return sum((line.amount for line in self.lines if line.amount is not None), Decimal(0)).quantize(CENT)

    @property
    def unpriced(self) -> int:
        """How many lines have no price and are not in the total."""
        return sum(line.price is None for line in self.lines)

    @property
    def digest(self) -> str:
        """What a confirmation confirms: products, quantities, units and prices now, 32 hex digits.

        A price that changes, or a line that comes or goes, gives another digest; a title or a stock figure does not.
        """
        content = [[line.sku, _text(line.quantity), line.unit, _text(line.price)] for line in self.lines]
        raw = json.dumps([self.currency, content], ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(raw.encode()).hexdigest()[:32]


def order_id(raw: str) -> str:
    """Validate an order's id: 8 to 64 letters, digits, `-` and `_`.

    Raises:
        InvalidRequestError: it is something else.
    """
    if not _ORDER_ID.fullmatch(raw):
        raise InvalidRequestError(f"order id {raw[:80]!r} is not 8-64 letters, digits, '-' or '_'")
    return raw


def _text(value: Decimal | None) -> str:
    """One text for equal numbers: 2, 2.0 and 2E0 are `2`."""
    if value is None:
        return ""
    return format(value.normalize(), "f")


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

    A product that the tenant no longer has keeps its line, without a price and with no stock.
    """
    lines = tuple(_priced(line, place, items.get(line["sku"])) for place, line in enumerate(draft["lines"], start=1))
    currency = next((line["currency"] for line in draft["lines"] if line["currency"]), "")
    return Order(tenant, draft["order_id"], thread, lines, currency, customer)


def _priced(line: DraftLine, position: int, product: Product | None) -> OrderLine:
    shown = line["price_shown"]
    return OrderLine(
        position=position,
        sku=line["sku"],
        title=line["title"],
        quantity=Decimal(line["quantity"]),
        unit=line["unit"],
        pack=line["pack"],
        price_shown=None if shown is None else Decimal(shown),
        price=None if product is None else product.price,
        stock=Decimal(0) if product is None else product.stock,
    )


def kept(line: OrderLine, currency: str) -> DraftLine:
    """A line as the state keeps it; what was its price is the price that was shown."""
    return DraftLine(
        sku=line.sku,
        title=line.title,
        quantity=plain(line.quantity),
        unit=line.unit,
        pack=line.pack,
        price_shown=None if line.price is None else plain(line.price),
        currency=currency,
    )


def repriced(draft: Draft, items: Mapping[str, Product]) -> Draft:
    """The draft with the prices of now as those that were shown: called once they have been."""
    lines = []
    for line in draft["lines"]:
        product = items.get(line["sku"])
        price = None if product is None or product.price is None else plain(product.price)
        lines.append(DraftLine(**{**line, "price_shown": price}))
    return Draft(order_id=draft["order_id"], serial=draft["serial"], lines=lines)
