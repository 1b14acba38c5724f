"""From a model's answer to a planner's step, and what speaks against it. Pure: no model is asked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from langchain_core.messages import AIMessage

from agent.ports import PlannedCall, PlannerStep, TurnContext
from agent.tools.dispatch import TOOLS
from agent.tools.registry import Effect, InvalidCallError

_GUARDED: Final = TOOLS.names(Effect.GUARDED)
"""What cannot be taken back: a model alone never does it."""

_CHANGING: Final = TOOLS.names(Effect.WRITE, Effect.GUARDED)

_REPLY_CHARACTERS: Final = 1_500


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model's answer comes to. `rejection` is one stable word, empty where there is none: such a reading is used."""

    calls: tuple[PlannedCall, ...]
    reply: str
    rejection: str = ""


@dataclass(frozen=True, slots=True)
class BuiltinReading:
    """What the built-in planner would do now.

    It goes by the results of its own calls, so once a model has gone another way in this turn (`follows` false), only
    what it read at the beginning still counts.
    """

    step: PlannerStep
    names: frozenset[str]
    """The tools that it wants at the beginning of the turn or now."""
    follows: bool


def follows(first: PlannerStep, context: TurnContext) -> bool:
    """Whether the turn's results so far are those of the built-in planner's own first calls."""
    done = [(result["name"], result["args"]) for result in context.results[: len(first.calls)]]
    return done == [(call.name, dict(call.args)) for call in first.calls][: len(done)]


def read_answer(message: AIMessage, context: TurnContext) -> Reading:
    """Check every call; an answer with one that is not valid is rejected as a whole, for the rest may depend on it."""
    reply = _text(message)
    if message.invalid_tool_calls:
        return Reading((), "", "invalid_tool_call")
    try:
        calls = [TOOLS.check(call["name"], call["args"]) for call in message.tool_calls]
    except InvalidCallError:
        return Reading((), "", "invalid_tool_call")
    fresh = [call for call in calls if not _already_done(call, context)]
    if len(fresh) > context.calls_left:
        return Reading((), "", "too_many_calls")
    if not calls and not reply and not context.results:
        return Reading((), "", "empty_answer")
    return Reading(tuple(fresh), reply)


def judge(reading: Reading, builtin: BuiltinReading, *, agreement: float) -> Reading:
    """The same reading with its rejection, held against what the built-in planner reads in the message.

    A guarded tool needs the built-in planner's word, whose rules know the sentences by which a person confirms. Where
    the built-in planner is sure that the order is to be changed (or not to be), a model that reads otherwise is rejected.
    """
    if reading.rejection:
        return reading
    names = {call.name for call in reading.calls}
    if (names & _GUARDED) - builtin.names:
        return Reading((), "", "unconfirmed")
    changes, builtin_changes = names & _CHANGING, {call.name for call in builtin.step.calls} & _CHANGING
    # A model may resolve or search first and change the order in a later step.
    looks_first = bool(names) and not changes
    sure = builtin.follows and builtin.step.confidence >= agreement
    if sure and changes != builtin_changes and not looks_first:
        return Reading((), "", "disagreement")
    return reading


def _already_done(call: PlannedCall, context: TurnContext) -> bool:
    """A model that forgets what it did in this turn would add the same line twice."""
    return call.name in _CHANGING and any(
        result["name"] == call.name and result["ok"] and _subset(call, result["args"]) for result in context.results
    )


def _subset(call: PlannedCall, done: object) -> bool:
    return isinstance(done, dict) and all(done.get(name) == value for name, value in call.args.items())


def _text(message: AIMessage) -> str:
    content: str | Sequence[object] = message.content
    parts = [content] if isinstance(content, str) else [_part(one) for one in content]
    return "".join(parts).strip()[:_REPLY_CHARACTERS]


def _part(block: object) -> str:
    if isinstance(block, str):
        return block
    text = block.get("text") if isinstance(block, dict) and block.get("type") == "text" else None
    return text if isinstance(text, str) else ""
