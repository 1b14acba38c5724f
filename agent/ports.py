"""What the agent needs of the world: a catalogue to search, a place for orders, a planner, a clock, a turn at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypedDict, Unpack

from agent.conversation.order import Order
from agent.conversation.products import Found, Product
from agent.conversation.state import Card, DraftLine, JsonValue, Message, ShownCards, ThreadState, ToolResult
from runtime.isolation import Reason
from schemas.identity import TenantId


class Narrowing(TypedDict, total=False):
    """What a search is narrowed to."""

    brands: Sequence[str]
    price_max: Decimal | None
    in_stock: bool


class CatalogueSearch(Protocol):
    """The catalogue of every tenant, in process or over HTTP. Every call names the tenant and sees no other's products."""

    async def find(self, tenant: TenantId, text: str, *, limit: int, **narrowed: Unpack[Narrowing]) -> Found:
        """Search.

        Raises:
            CatalogueUnavailableError: search did not answer.
        """
        ...

    async def items(self, tenant: TenantId, skus: Sequence[str]) -> Mapping[str, Product]:
        """The products of these SKUs as they are now; those that the tenant no longer has are left out.

        Raises:
            CatalogueUnavailableError: the catalogue did not answer.
        """
        ...

    async def vocabulary(self, tenant: TenantId, text: str, *, limit: int) -> list[str]:
        """Words of the tenant's catalogue that are near the words of `text`, most frequent first: hints for a model.

        Raises:
            CatalogueUnavailableError: the catalogue did not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class OrderReceipt:
    """What came of a submission: the order's id, and whether this very call submitted it."""

    order_id: str
    first: bool
    order: Order


class OrderSink(Protocol):
    """Where orders go. All three are safe to repeat; `agent.orders.store.OrderStore` is behind them."""

    async def offer(self, order: Order) -> None:
        """Keep the order as it was shown to the person, over what was shown before.

        Raises:
            RetryableError: nothing was stored.
        """
        ...

    async def submit(self, order: Order) -> OrderReceipt:
        """Submit; the order's id makes it exactly once, however often it is called.

        Raises:
            OrderClosedError: it was withdrawn, or submitted with other lines.
            RetryableError: whether it was submitted is not known; call again with the same order.
        """
        ...

    async def withdraw(self, tenant: TenantId, order_id: str) -> None:
        """Close an order that was shown and not confirmed."""
        ...


@dataclass(frozen=True, slots=True)
class TurnContext:
    """All that a planner may know. What people and products say is in here as data; none of it is an instruction.

    `results` are those of this turn so far, in the order of the calls; a planner that is asked again goes on from them.
    """

    tenant: TenantId
    turn: int
    message: str
    language: str
    history: tuple[Message, ...]
    shown: tuple[ShownCards, ...]
    topic: str
    focus: tuple[str, ...]
    lines: tuple[DraftLine, ...]
    offered: bool
    """Whether the person has seen the order as it is."""
    submitted: tuple[str, ...]
    hints: tuple[str, ...]
    results: tuple[ToolResult, ...]
    step: int
    steps_left: int
    calls_left: int
    spender: str = ""
    """What stands for the address that models' spending is counted for; nobody's address, and nothing for a model."""

    @property
    def cards(self) -> tuple[Card, ...]:
        """The cards that were shown last."""
        return tuple(self.shown[-1]["cards"]) if self.shown else ()


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A tool to run. The graph gives it its id."""

    name: str
    args: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class PlannerStep:
    """A planner's answer: tools to run next, or the end of the turn.

    With `calls` empty the turn ends. `reply` is the planner's own text for the person; empty leaves the text to
    `agent.replies`, which writes it from the results. Where both are there, `agent.replies` has the last word:
    prices in `reply` that are not the catalogue's are not shown. `note` names what there is to say where no tool ran
    (a key of `agent.conversation.phrases`): greeting, refusal, a question back.
    """

    calls: tuple[PlannedCall, ...] = ()
    reply: str = ""
    note: str = ""
    planner: str = ""
    model: str = ""
    confidence: float = 1.0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)
    degraded: str = ""
    """Why this planner answered in another's place (`not_configured`, `timeout`, `budget`, ...); empty otherwise."""


class Planner(Protocol):
    """Decides what to do next in a turn. It never fails: one that cannot answer hands over to one that can, and says so."""

    @property
    def name(self) -> str:
        """The name under which replies and metrics speak of it."""
        ...

    @property
    def reads_hints(self) -> bool:
        """Whether it reads `TurnContext.hints`: they cost a search, and are fetched for such a planner only."""
        ...

    async def plan(self, context: TurnContext) -> PlannerStep:
        """The next step. Called at most `AgentLimits.steps` times a turn."""
        ...


class ThreadGuard(Protocol):
    """One turn at a time in a thread, over all workers."""

    def hold(self, tenant: TenantId, thread: str) -> AbstractAsyncContextManager[None]:
        """Wait for the thread's turn, and keep it while the context lasts.

        Raises:
            RetryableError: another turn of this thread took too long.
        """
        ...


class ThreadRecord(Protocol):
    """What is kept of a conversation beside its state, for the case that its state or a turn of it fails."""

    async def set_apart(self, tenant: TenantId, thread: str, stage: str, reason: Reason) -> None:
        """Keep, for the operator to see, what failed at this thread and why.

        Raises:
            RetryableError: it could not be kept.
        """
        ...

    async def recall(self, tenant: TenantId, thread: str) -> ThreadState | None:
        """A state made of what was said and ordered; None where nothing is known of the thread.

        Raises:
            RetryableError: the record did not answer.
        """
        ...
