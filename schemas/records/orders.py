"""A line of an order, and the record of the topic `orders.submitted`: one confirmed order, complete in itself, key = the order's id.

Delivery is at least once. `event_id` is the same in every copy of one order's record, so a consumer that keeps the ids
that it has taken (or writes with the id as its key) sees each order exactly once.
"""

from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

CENT: Final = Decimal("0.01")


class LineNotice(StrEnum):
    """What changed of a line since its price was shown, or what stands in its way."""

    PRICE_UP = "price_up"
    PRICE_DOWN = "price_down"
    PRICE_UNKNOWN = "price_unknown"
    SHORT_STOCK = "short_stock"
    OUT_OF_STOCK = "out_of_stock"


class OrderLine(BaseModel):
    """One product of an order and how much of it; numbers are decimal strings, so that no reader rounds them."""

    model_config = ConfigDict(frozen=True)

    position: int = Field(ge=1)
    sku: str
    title: str
    quantity: Decimal = Field(description="In the product's own selling unit.")
    unit: str = ""
    pack: str = Field("", description="How the shop packs that unit; empty where it does not say.")
    price_shown: Decimal | None = Field(None, description="The price that the person saw.")
    price: Decimal | None = Field(None, description="The price at the last look, or at the confirmation.")
    stock: Decimal | None = Field(None, description="On hand at that moment; null where the shop does not say.")
    amount: Decimal | None = Field(None, description="Price times quantity, to the cent.")
    notices: tuple[str, ...] = Field((), description="price_up, price_down, price_unknown, short_stock, out_of_stock.")

    @model_validator(mode="after")
    def _derive(self) -> Self:
        """What follows from the rest and was not given: the amount (half up) and the notices."""
        if "amount" not in self.model_fields_set and self.price is not None:
            amount = (self.price * self.quantity).quantize(CENT, rounding=ROUND_HALF_UP)
            object.__setattr__(self, "amount", amount)
        if "notices" not in self.model_fields_set:
            object.__setattr__(self, "notices", tuple(self._noticed()))
        return self

    def _noticed(self) -> list[str]:
        found = []
        if self.price is None:
            found.append(LineNotice.PRICE_UNKNOWN)
        elif self.price_shown is not None and self.price != self.price_shown:
            found.append(LineNotice.PRICE_UP if self.price > self.price_shown else LineNotice.PRICE_DOWN)
        if self.stock is not None and self.stock < self.quantity:
            found.append(LineNotice.OUT_OF_STOCK if self.stock <= 0 else LineNotice.SHORT_STOCK)
        return [notice.value for notice in found]


class SubmittedLine(OrderLine):
    """One line as it was confirmed; numbers are decimal strings, so that no reader rounds them."""

    position: int = Field(ge=1, description="Place in the order, from 1.")
    quantity: Decimal = Field(gt=0, description="In the product's own selling unit.")
    unit: str = Field("", description="That unit, as the shop names it.")
    price: Decimal | None = Field(None, description="Price of one unit at the confirmation; null: to be agreed.")
    amount: Decimal | None = Field(None, description="Price times quantity, to the cent; null without a price.")
    price_shown: SkipJsonSchema[Decimal | None] = Field(None, exclude=True)
    stock: SkipJsonSchema[Decimal | None] = Field(None, exclude=True)
    notices: SkipJsonSchema[tuple[str, ...]] = Field((), exclude=True)


class SubmittedOrder(BaseModel):
    """One order that a person confirmed."""

    model_config = ConfigDict(frozen=True)

    event_id: str = Field(description="`tenant/order_id`: the same in every copy of this record.")
    tenant: str
    order_id: str
    thread: str = Field(description="The conversation that it came from.")
    customer: str = Field("", description="Who ordered, as the caller named them; empty where nobody did.")
    currency: str = Field("", description="ISO 4217 code; empty where the shop gives none.")
    lines: tuple[SubmittedLine, ...] = Field(min_length=1)
    total: Decimal = Field(description="Sum of the amounts, to the cent.")
    unpriced: int = Field(0, ge=0, description="Lines without a price, which the total leaves out.")
    submitted_at: AwareDatetime
