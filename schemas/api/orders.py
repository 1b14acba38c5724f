"""Orders on the wire: what was ordered, what it costs now, and where it stands."""

from decimal import Decimal
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.api.chat import Tenant, TurnReply
from schemas.records.orders import OrderLine


class OrderSetApart(BaseModel):
    """Why the log will never take a submitted order as it is."""

    model_config = ConfigDict(frozen=True)

    reason: str = Field(description="A stable code.")
    detail: str = Field("", description="A sentence for the operator.")
    since: AwareDatetime | None = None


class OrderView(BaseModel):
    """One order."""

    model_config = ConfigDict(frozen=True)

    order_id: str
    tenant: str
    thread: str
    customer: str = ""
    status: Literal["awaiting_confirmation", "submitted", "withdrawn"]
    digest: str = Field(description="What a confirmation confirms; send it with the confirmation.")
    currency: str = ""
    lines: tuple[OrderLine, ...] = ()
    total: Decimal = Field(description="Sum of the amounts, to the cent.")
    unpriced: int = Field(0, description="Lines without a price, which the total leaves out.")
    created_at: AwareDatetime | None = None
    submitted_at: AwareDatetime | None = None
    published_at: AwareDatetime | None = Field(None, description="When the log had it.")
    set_apart: OrderSetApart | None = Field(
        None, description="Of a submitted order that was not published and waits for an operator; null for all others."
    )


class OrderList(BaseModel):
    """Some orders, newest first."""

    model_config = ConfigDict(frozen=True)

    orders: tuple[OrderView, ...] = ()
    next: str = Field("", description="Give it as `after` for the orders after these; empty at the end.")


class RetryRequest(BaseModel):
    """What was set apart is to be tried again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: Tenant


class ConfirmRequest(BaseModel):
    """The confirmation of an order as it was shown."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: Tenant
    digest: str = Field(
        "",
        max_length=64,
        description="The order's digest as it was shown; empty: as it was last shown, whatever that was.",
    )


class Confirmed(BaseModel):
    """The submitted order; `first` says whether this very call submitted it."""

    model_config = ConfigDict(frozen=True)

    order: OrderView
    first: bool
    reply: TurnReply | None = Field(
        None, description="What the conversation says to it; null where it was submitted before."
    )
