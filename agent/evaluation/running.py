"""Running conversations through an agent: what came of each turn, the figures, and the misses as transcripts that a person can read."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from agent.conversation.turn import TurnRequest
from agent.evaluation.checking import Observed, failed_keys, quantities
from agent.evaluation.fixtures import Conversation, ScriptedTurn
from agent.testing import CountingOrders
from agent.turns.runtime import AgentRuntime
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


@dataclass(slots=True)
class Share:
    """How many of how many passed."""

    passed: int = 0
    total: int = 0

    def count(self, *, passed: bool) -> None:
        """Count one."""
        self.total += 1
        self.passed += passed

    def to_json(self) -> dict[str, int | float]:
        """The share for programs, to four decimals."""
        return {
            "passed": self.passed,
            "total": self.total,
            "share": round(self.passed / self.total, 4) if self.total else 0.0,
        }


def summary(evaluation: Evaluation) -> dict[str, Any]:
    """The figures: shares of turns and conversations, by key and by tag (of turns), latency in milliseconds."""
    turns, conversations = Share(), Share()
    by_key: dict[str, Share] = {}
    by_tag: dict[str, Share] = {}
    planners: Counter[str] = Counter()
    latencies: list[float] = []
    for outcome in evaluation.outcomes:
        conversations.count(passed=outcome.passed)
        for turn in outcome.turns:
            turns.count(passed=turn.passed)
            latencies.append(turn.milliseconds)
            planners[turn.reply.metadata.planner] += 1
            for key in turn.scripted.expect.model_dump(exclude_none=True):
                by_key.setdefault(key, Share()).count(passed=key not in turn.failed)
            for tag in outcome.conversation.tags:
                by_tag.setdefault(tag, Share()).count(passed=turn.passed)
    return {
        "turns": turns.total,
        "turns_passed": turns.passed,
        "turns_share": turns.to_json()["share"],
        "conversations": conversations.total,
        "conversations_passed": conversations.passed,
        "conversations_share": conversations.to_json()["share"],
        "by_key": _json(by_key),
        "by_tag": _json(by_tag),
        "planners": dict(planners),
        "latency_ms": percentiles(latencies),
        "double_submissions": evaluation.double_submissions,
    }


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p95, p99 and the largest; the same number four times for a single value."""
    if not values:
        return {}
    cuts = quantiles(values, n=100, method="inclusive") if len(values) > 1 else values * 99
    return {
        "p50": round(cuts[49], 1),
        "p95": round(cuts[94], 1),
        "p99": round(cuts[98], 1),
        "max": round(max(values), 1),
    }


def transcript(outcome: ConversationOutcome) -> str:
    """A conversation for people, its misses marked."""
    conversation = outcome.conversation
    lines = [f"## {conversation.id} ({conversation.tenant}; {', '.join(conversation.tags)})", ""]
    for number, turn in enumerate(outcome.turns, start=1):
        tools = ", ".join(
            f"{tool.name}({', '.join(f'{name}={value}' for name, value in tool.args.items())}){'' if tool.ok else ' ✗ ' + tool.reason}"
            for tool in turn.reply.metadata.tools
        )
        lines.append(
            f"{'✓' if turn.passed else '✗'} {number}. **{turn.scripted.user}**  ({turn.milliseconds:.0f} ms; {tools or 'no tool'})"
        )
        lines.extend(f"      {line}" for line in turn.reply.text.splitlines())
        lines.extend(f"   MISS {key}: {reason}" for key, reason in turn.failed.items())
        lines.append("")
    return "\n".join(lines)


def misses(evaluation: Evaluation) -> str:
    """The transcripts of the conversations that have a miss; empty where none has."""
    return "\n\n".join(transcript(outcome) for outcome in evaluation.outcomes if not outcome.passed)


def _json(shares: Mapping[str, Share]) -> dict[str, dict[str, int | float]]:
    return {name: shares[name].to_json() for name in sorted(shares)}
