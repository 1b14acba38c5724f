"""One turn at the agent's edge: what comes in, what goes out, and the events in between. Wire models, as the API gives them."""

import hashlib
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.api.limits import TENANT_PATTERN

THREAD_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class OrderConfirmation(BaseModel):
    """A confirm button: which order, and the digest of what was shown (empty: as it was last shown)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: str = Field(min_length=8, max_length=64)
    digest: str = Field("", max_length=64)


class TurnRequest(BaseModel):
    """One message of one conversation. With `confirm` the message may be empty: it is the button that speaks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str = Field(pattern=TENANT_PATTERN)
    thread: str = Field(pattern=THREAD_PATTERN)
    message: str = ""
    locale: str = Field(
        "", max_length=16, pattern=r"^[A-Za-z0-9_-]*$", description="`es-MX`; empty: told from the text."
    )
    key: str = Field("", max_length=128, description="Idempotency key: the same key gets the same reply.")
    customer: str = Field("", max_length=128)
    confirm: OrderConfirmation | None = None


class ReplyCard(BaseModel):
    """A product in a reply."""

    model_config = ConfigDict(frozen=True)

    rank: int = Field(ge=1, description='Place from 1: "the second" is rank 2.')
    sku: str
    title: str
    brand: str = ""
    unit: str = ""
    price: Decimal | None = Field(None, description="The catalogue's price; null: to be asked for.")
    currency: str = ""
    stock: Decimal | None = None
    image: str = ""
    matched: tuple[str, ...] = Field((), description="Why it is here.")
    weak: bool = Field(False, description="An alternative: not what was asked for.")


class ReplyLine(BaseModel):
    """A line of the order in a reply, priced by the catalogue as of now."""

    model_config = ConfigDict(frozen=True)

    position: int = Field(ge=1)
    sku: str
    title: str
    quantity: Decimal
    unit: str = ""
    pack: str = ""
    price_shown: Decimal | None = None
    price: Decimal | None = None
    stock: Decimal | None = None
    amount: Decimal | None = None
    notices: tuple[str, ...] = ()


class ReplyOrder(BaseModel):
    """The order of the conversation after the turn: the open one, or the one that this turn submitted."""

    model_config = ConfigDict(frozen=True)

    order_id: str = ""
    digest: str = Field("", description="What a confirmation confirms; send it with the confirm button.")
    status: Literal["empty", "awaiting_confirmation", "submitted"] = "empty"
    lines: tuple[ReplyLine, ...] = ()
    total: Decimal = Decimal(0)
    unpriced: int = 0
    currency: str = ""


class ToolTrace(BaseModel):
    """A tool that ran in the turn."""

    model_config = ConfigDict(frozen=True)

    name: str
    args: dict[str, object] = Field(default_factory=dict)
    ok: bool = True
    reason: str = ""
    milliseconds: float = 0.0


class TurnMetadata(BaseModel):
    """How the reply came about."""

    model_config = ConfigDict(frozen=True)

    planner: str = Field("", description="Which planner answered; `none` where no planner was asked.")
    llm_bypassed: bool = Field(False, description="Answered by search alone: no planner and no model saw the message.")
    degraded: str = Field("", description="Why the configured planner did not answer; empty where it did.")
    tools: tuple[ToolTrace, ...] = ()
    models: tuple[str, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    latency_ms: dict[str, float] = Field(default_factory=dict, description="Milliseconds by step, and `total`.")
    low_confidence: bool = False
    no_results: bool = Field(False, description="The shop does not have what was asked for.")
    asks_back: bool = Field(False, description="The reply asks something.")
    stopped: str = Field("", description="The bound that ended the turn early.")


class TurnReply(BaseModel):
    """The answer to one turn."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    thread: str
    turn: int
    text: str
    language: str = "es"
    cards: tuple[ReplyCard, ...] = ()
    order: ReplyOrder = Field(default_factory=ReplyOrder)
    submitted: tuple[str, ...] = Field((), description="Orders of this conversation that were submitted, oldest first.")
    state: Literal["open", "awaiting_confirmation", "submitted"] = "open"
    metadata: TurnMetadata = Field(default_factory=TurnMetadata)


class TurnEvent(BaseModel):
    """A step of a running turn, for the event stream: `planner`, `tool`, and at the end `reply`."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["planner", "tool", "reply"]
    name: str = ""
    ok: bool = True
    milliseconds: float = 0.0
    reply: TurnReply | None = None


class ThreadView(BaseModel):
    """A conversation as `GET /v1/chat/{thread}` shows it."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    thread: str
    turn: int
    messages: tuple[dict[str, object], ...] = ()
    last: TurnReply | None = None


def request_digest(turn: TurnRequest) -> str:
    """What a request asks, so that an idempotency key that is used for another request is noticed."""
    return hashlib.sha256(turn.model_dump_json(exclude={"key"}).encode()).hexdigest()[:32]
