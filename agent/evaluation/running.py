"""Running conversations through an agent and keeping what came of each turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agent.conversation.turn import TurnRequest
from agent.evaluation.checking import Observed, failed_keys, quantities
from agent.evaluation.fixtures import Conversation, ScriptedTurn
from agent.evaluation.orders import CountingOrders
from agent.runtime import AgentRuntime
from schemas.api.chat import TurnReply


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """A turn: what was said, what came back, which keys failed and with what, and the milliseconds it took."""

    scripted: ScriptedTurn
    reply: TurnReply
    failed: dict[str, str]
    milliseconds: float

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return not self.failed


@dataclass(frozen=True, slots=True)
class ConversationOutcome:
    """A conversation with the outcome of each turn."""

    conversation: Conversation
    turns: tuple[TurnOutcome, ...]

    @property
    def passed(self) -> bool:
        """Whether every turn passed."""
        return all(turn.passed for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All conversations, and how many orders were submitted more than once."""

    outcomes: tuple[ConversationOutcome, ...]
    double_submissions: int


async def evaluate(
    runtime: AgentRuntime,
    orders: CountingOrders,
    conversations: Sequence[Conversation],
    *,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Run every conversation in a fresh session."""
    outcomes = []
    for number, conversation in enumerate(conversations, start=1):
        outcomes.append(await _run(runtime, conversation, f"eval-{number}"))
        on_progress(number)
    return Evaluation(tuple(outcomes), orders.doubled)


async def _run(runtime: AgentRuntime, conversation: Conversation, thread: str) -> ConversationOutcome:
    replies: list[TurnReply] = []
    turns = []
    for scripted in conversation.turns:
        before = quantities(replies[-1]) if replies else {}
        started = time.perf_counter()
        reply = await runtime.turn(TurnRequest(tenant=conversation.tenant, thread=thread, message=scripted.user))
        milliseconds = (time.perf_counter() - started) * 1000
        replies.append(reply)
        failed = failed_keys(scripted.expect, Observed(tuple(replies), before))
        turns.append(TurnOutcome(scripted, reply, failed, milliseconds))
    return ConversationOutcome(conversation, tuple(turns))
