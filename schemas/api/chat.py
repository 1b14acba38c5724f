"""The chat on the wire: a message of a conversation, its answer, the steps on the way, and the conversation itself."""

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from schemas.api.limits import MAX_MESSAGE, TENANT_PATTERN, THREAD_PATTERN
from schemas.records.orders import OrderLine

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def _storable(text: str) -> str:
    if _UNPRINTABLE.search(text):
        raise ValueError("it holds control characters, which no message has")
    return text


Tenant = Annotated[str, Field(pattern=TENANT_PATTERN, description="The shop.")]
Thread = Annotated[str, Field(pattern=THREAD_PATTERN, description="The conversation: letters, digits, `.`, `_`, `-`.")]
Text = Annotated[str, AfterValidator(_storable)]


class OrderConfirmation(BaseModel):
    """A confirm button: which order, and the digest of what was shown (empty: as it was last shown)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    order_id: str = Field(min_length=8, max_length=64)
    digest: str = Field("", max_length=64)


class ChatRequest(BaseModel):
    """One message. Without a thread a new conversation begins; its name is in the reply."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"tenant": "norte", "message": "20 codos de pvc de 1/2"}]},
    )

    tenant: Tenant
    thread: Thread = Field(default_factory=str)
    """Left out (empty), a conversation begins; with a key and no customer's token its name must be one that was issued."""
    message: Text = Field("", max_length=MAX_MESSAGE)
    locale: str = Field(
        "", max_length=16, pattern=r"^[A-Za-z0-9_-]*$", description="`es-MX`; empty: told from the text."
    )
    customer: Text = Field("", max_length=128, description="Who is ordering, in the caller's own terms.")
    confirm: OrderConfirmation | None = Field(None, description="The confirm button, in place of a message.")


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


class ReplyOrder(BaseModel):
    """The order of the conversation after the turn: the open one, or the one that this turn submitted."""

    model_config = ConfigDict(frozen=True)

    order_id: str = ""
    digest: str = Field("", description="What a confirmation confirms; send it with the confirm button.")
    status: Literal["empty", "awaiting_confirmation", "submitted"] = "empty"
    lines: tuple[OrderLine, ...] = ()
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


class TurnStep(BaseModel):
    """A step of a running turn, as the event stream tells it before the reply."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["planner", "tool"]
    name: str = Field("", description="Which planner, or which tool.")
    ok: bool = True
    milliseconds: float = 0.0


class ThreadView(BaseModel):
    """A conversation as `GET /v1/chat/{thread}` shows it."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    thread: str
    turn: int
    messages: tuple[dict[str, object], ...] = ()
    last: TurnReply | None = None


class ThreadSetApart(BaseModel):
    """A conversation at which something failed by a fault of ours: the person was told, and the conversation goes on."""

    model_config = ConfigDict(frozen=True)

    thread: str
    stage: str = Field(description="What failed: `turn`, `thread state` or `pruning`.")
    reason: str = Field(description="A stable code; `unexpected` is a defect of ours, and the log has its traceback.")
    detail: str = Field("", description="A sentence for the operator. It goes with the conversation.")
    times: int = Field(1, ge=1, description="How often it failed.")
    first_at: AwareDatetime | None = None
    last_at: AwareDatetime | None = None


class ThreadsSetApart(BaseModel):
    """The conversations of a shop that were set apart, the newest failure first."""

    model_config = ConfigDict(frozen=True)

    threads: tuple[ThreadSetApart, ...] = ()


class Deleted(BaseModel):
    """How many conversations were deleted."""

    model_config = ConfigDict(frozen=True)

    threads: int
