"""An order as a value: its lines, its money in exact decimals, its states, and the digest of what a person confirmed.

Nothing here reads a clock, a database or a catalogue. Prices are what the catalogue gave; a line without one stays in
the order and is said to be unpriced, for a total that leaves it out in silence would be wrong.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final

from schemas.errors import InvalidRequestError
from schemas.identity import TenantId

CENT: Final = Decimal("0.01")
_ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{7,63}")


class OrderStatus(StrEnum):
    """Where an order stands. It only ever goes from the first to one of the others."""

    OFFERED = "awaiting_confirmation"
    """Shown to the person, who has not said yes."""
    SUBMITTED = "submitted"
    """Confirmed; its event is in the outbox or in the log."""
    WITHDRAWN = "withdrawn"
    """The person emptied it, or the conversation was deleted, before it was confirmed."""


class LineNotice(StrEnum):
    """What changed of a line since its price was shown, or what stands in its way."""

    PRICE_UP = "price_up"
    PRICE_DOWN = "price_down"
    PRICE_UNKNOWN = "price_unknown"
    SHORT_STOCK = "short_stock"
    OUT_OF_STOCK = "out_of_stock"


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One product and how much of it, in the product's own selling unit.

    `pack` is how the shop packs that unit (`caja de 100`), empty where it does not say. `price_shown` is what the person
    saw, `price` and `stock` are what the catalogue says now; None where the shop gives none.
    """

    sku: str
    title: str
    quantity: Decimal
    unit: str = ""
    pack: str = ""
    price_shown: Decimal | None = None
    price: Decimal | None = None
    stock: Decimal | None = None

    @property
    def amount(self) -> Decimal | None:
        """Price now times quantity, to the cent, half up; None without a price."""
        if self.price is None:
            return None
        return (self.price * self.quantity).quantize(CENT, rounding=ROUND_HALF_UP)

    @property
    def notices(self) -> tuple[LineNotice, ...]:
        """What the person has to be told about this line."""
        found = []
        if self.price is None:
            found.append(LineNotice.PRICE_UNKNOWN)
        elif self.price_shown is not None and self.price != self.price_shown:
            found.append(LineNotice.PRICE_UP if self.price > self.price_shown else LineNotice.PRICE_DOWN)
        if self.stock is not None and self.stock < self.quantity:
            found.append(LineNotice.OUT_OF_STOCK if self.stock <= 0 else LineNotice.SHORT_STOCK)
        return tuple(found)


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
