"""The state of one conversation: plain JSON in typed dictionaries, so that any checkpointer stores it and any worker reads it.

Numbers that are money or quantities are decimal text, never floats. Everything that a tool changes lives here (the open
order, the shown cards), so a tool's effect is a state transition that one checkpoint either holds or does not hold: a
turn that was killed is taken up again without doing anything twice.
"""

from decimal import Decimal
from typing import Final, Literal, NotRequired, TypedDict

from agent.language.detection import Language

_BEYOND: Final = 2**63

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]


def storable(value: JsonValue) -> JsonValue:
    """What a planner said, as every checkpointer takes it: an integer beyond 64 bits as its digits, half of a surrogate pair as U+FFFD."""
    match value:
        case int() if not -_BEYOND <= value < _BEYOND:
            # By way of Decimal: Python refuses to spell more than 4,300 digits of an integer.
            return str(Decimal(value))
        case str():
            return storable_text(value)
        case list():
            return [storable(each) for each in value]
        case dict():
            return {storable_text(name): storable(each) for name, each in value.items()}
        case _:
            return value


def storable_text(text: str) -> str:
    """`storable` of a text."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Card(TypedDict):
    """A product as it was shown: what a person may mean by "the second"."""

    sku: str
    title: str
    brand: str
    unit: str
    price: str | None
    """Decimal text; None where the tenant gives none."""
    currency: str
    stock: str | None
    image: str
    matched: list[str]
    """Why it is here: the retrievers that found it, and the words of the request that it holds."""
    weak: bool
    """Shown as an alternative: it is not what was asked for."""


class ShownCards(TypedDict):
    """The cards of one turn, in the order in which they were shown, and the search text that found them."""

    turn: int
    query: str
    cards: list[Card]


class Message(TypedDict):
    """One message of the conversation."""

    role: Literal["user", "agent"]
    text: str
    turn: int


class DraftLine(TypedDict):
    """`schemas.records.orders.OrderLine` as the state keeps it: plain JSON, without what the catalogue says anew each time."""

    sku: str
    title: str
    quantity: str
    unit: str
    pack: str
    price_shown: str | None
    currency: str


class Draft(TypedDict):
    """The open order. Its id is derived from the thread and `serial`, the same in every worker and every retry."""

    order_id: str
    serial: int
    lines: list[DraftLine]


class Offer(TypedDict):
    """The order as the person last saw it: what an explicit confirmation confirms."""

    order_id: str
    digest: str
    turn: int


class ToolCall(TypedDict):
    """A tool that a planner wants to run, with its arguments."""

    id: str
    name: str
    args: dict[str, JsonValue]


class ToolResult(TypedDict):
    """What a tool did. `ok` false: nothing changed, and `reason` says why in one stable word."""

    id: str
    name: str
    args: dict[str, JsonValue]
    ok: bool
    reason: str
    data: dict[str, JsonValue]
    milliseconds: float


class ModelUse(TypedDict):
    """One answer of a planner within a turn: who answered, and what it cost."""

    planner: str
    model: str
    input_tokens: int
    output_tokens: int
    cost: str
    milliseconds: float
    degraded: str
    """Why another planner than the configured one answered; empty where it did."""


class TurnWork(TypedDict):
    """What the turn in progress has done so far. It stays until the next turn begins."""

    message: str
    key: str
    locale: str
    confirm_order: str
    confirm_digest: str
    step: int
    hints: list[str]
    pending: list[ToolCall]
    results: list[ToolResult]
    uses: list[ModelUse]
    timings_ms: dict[str, float]
    bypassed: bool
    note: str
    """What there is to say beside the results: a key of `agent.conversation.phrases`."""
    reply: str
    """The planner's own text; empty where the reply is written from the results."""
    started_us: int
    stopped: str
    """Which bound ended the turn early; empty where none did."""
    apology: NotRequired[str]
    """What the person has to hear about the turn before this one: a key of `agent.conversation.phrases`."""
    spender: NotRequired[str]
    """What stands for the address that models' spending is counted for."""


class ReplyState(TypedDict):
    """The reply of the last turn, as `schemas.api.chat.TurnReply` in JSON, and the idempotency key that it answers."""

    key: str
    reply: dict[str, JsonValue]
    closed: NotRequired[int]
    """How many turns up to this one, without a gap, were closed because they could not be ended."""


class ThreadState(TypedDict):
    """The whole conversation. Lists are bounded (`agent.conversation.limits`), so a state has a largest size."""

    tenant: str
    thread: str
    customer: NotRequired[str]
    language: NotRequired[Language]
    turn: NotRequired[int]
    messages: NotRequired[list[Message]]
    shown: NotRequired[list[ShownCards]]
    topic: NotRequired[str]
    """Text of the search that the conversation is about."""
    focus: NotRequired[list[str]]
    """SKUs last spoken of, newest first: what "that one" means."""
    draft: NotRequired[Draft]
    offer: NotRequired[Offer | None]
    submitted: NotRequired[list[str]]
    """Ids of this conversation's submitted orders, oldest first."""
    work: NotRequired[TurnWork]
    last: NotRequired[ReplyState]
