"""From a model's answer to a planner's step, and the doubts about it. Pure: no model is asked here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from langchain_core.messages import AIMessage

from agent.planners.llm.tools import InvalidCallError, Toolbox
from agent.ports import PlannedCall, PlannerStep, TurnContext

GUARDED_TOOLS: Final = frozenset({"order_submit", "order_clear"})
"""What cannot be taken back: a model alone never does it."""

CHANGING_TOOLS: Final = frozenset({"order_add", "order_update", "order_remove"}) | GUARDED_TOOLS

_REPLY_CHARACTERS: Final = 1_500


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model's answer comes to. `doubt` is one stable word, empty where there is none: such a reading is used."""

    calls: tuple[PlannedCall, ...]
    reply: str
    doubt: str = ""


def read_answer(message: AIMessage, toolbox: Toolbox, context: TurnContext) -> Reading:
    """Check every call; an answer with one that is not valid is in doubt as a whole, for the rest may depend on it."""
    reply = _text(message)
    if message.invalid_tool_calls:
        return Reading((), "", "invalid_tool_call")
    try:
        calls = [toolbox.check(call["name"], call["args"]) for call in message.tool_calls]
    except InvalidCallError:
        return Reading((), "", "invalid_tool_call")
    fresh = [call for call in calls if not _already_done(call, context)]
    if len(fresh) > context.calls_left:
        return Reading((), "", "too_many_calls")
    if not calls and not reply and not context.results:
        return Reading((), "", "empty_answer")
    return Reading(tuple(fresh), reply)


def judge(reading: Reading, builtin: PlannerStep, context: TurnContext, *, agreement: float) -> Reading:
    """The same reading with its doubt, held against what the built-in planner reads in the message.

    A guarded tool needs the built-in planner's word, whose rules know the sentences by which a person confirms. Where
    the built-in planner is sure that the order is to be changed (or not to be), a model that reads otherwise is in doubt.
    """
    if reading.doubt:
        return reading
    builtin_names = {call.name for call in builtin.calls}
    names = {call.name for call in reading.calls}
    if (names & GUARDED_TOOLS) - builtin_names:
        return Reading((), "", "unconfirmed")
    first_step = not context.results
    changes, builtin_changes = names & CHANGING_TOOLS, builtin_names & CHANGING_TOOLS
    # A model may resolve or search first and change the order in a later step.
    looks_first = bool(names) and not changes
    if first_step and builtin.confidence >= agreement and changes != builtin_changes and not looks_first:
        return Reading((), "", "disagreement")
    return reading


def _already_done(call: PlannedCall, context: TurnContext) -> bool:
    """A model that forgets what it did in this turn would add the same line twice."""
    return call.name in CHANGING_TOOLS and any(
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
