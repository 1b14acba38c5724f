"""The record of the topic `orders.submitted`: one confirmed order, complete in itself, key = the order's id.

Delivery is at least once. `event_id` is the same in every copy of one order's record, so a consumer that keeps the ids
that it has taken (or writes with the id as its key) sees each order exactly once.
"""

from decimal import Decimal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class SubmittedLine(BaseModel):
    """One line as it was confirmed; numbers are decimal strings, so that no reader rounds them."""

    model_config = ConfigDict(frozen=True)

    position: int = Field(ge=1, description="Place in the order, from 1.")
    sku: str
    title: str
    quantity: Decimal = Field(gt=0, description="In the product's own selling unit.")
    unit: str = Field("", description="That unit, as the shop names it.")
    pack: str = Field("", description="How the shop packs that unit; empty where it does not say.")
    price: Decimal | None = Field(None, description="Price of one unit at the confirmation; null: to be agreed.")
    amount: Decimal | None = Field(None, description="Price times quantity, to the cent; null without a price.")


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
