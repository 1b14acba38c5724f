"""The deterministic planner: read the message, resolve what it speaks of, then act on what was resolved.

It keeps no state: every step reads the message afresh and goes on from the turn's results, so any worker can take the
next step. A turn has at most three: resolve, act, end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from agent.language.actions import Action
from agent.language.guards import is_tampering
from agent.language.reading import Request, read_message
from agent.planners.steps import act, inquire
from agent.ports import PlannedCall, PlannerStep, TurnContext
from agent.tools.confirmation import asks_to_submit

NAME: Final = "deterministic"


class DeterministicPlanner:
    """`Planner` by rules."""

    @property
    def name(self) -> str:
        """`deterministic`."""
        return NAME

    @property
    def reads_hints(self) -> bool:
        """Rules know no catalogue."""
        return False

    async def plan(self, context: TurnContext) -> PlannerStep:
        """The next step of the turn."""
        return plan_step(context)


def plan_step(context: TurnContext) -> PlannerStep:
    """The next step, as a pure function: what to look up, then what to do, then the end."""
    if asks_to_submit(context.message, asked=bool(context.lines) and context.offered):
        return _ended() if context.results else _calls(PlannedCall("order_submit", {}))
    if is_tampering(context.message):
        return PlannerStep(note="refused", planner=NAME)
    requests = meant(read_message(context.message), context)
    if not requests:
        return PlannerStep(note="" if context.results else "small_talk", planner=NAME)
    inquiries = inquire(requests, context)
    done = len(context.results)
    if done < len(inquiries):
        return _calls(*inquiries[done:])
    actions = act(requests, inquiries, context)
    if done < len(inquiries) + len(actions):
        return _calls(*actions[done - len(inquiries) :])
    return _ended()


def meant(requests: Sequence[Request], context: TurnContext) -> list[Request]:
    """The requests that want something: talk beside them is let go, and a bare SKU-shaped number is a search."""
    wanted = [request for request in requests if request.action is not Action.CHAT]
    return [_told_apart(request, context) for request in wanted]


def _told_apart(request: Request, context: TurnContext) -> Request:
    """A lone long number is a code unless the conversation has something to count."""
    quantity = request.quantity
    if request.action is Action.ADD and not request.text and quantity is not None and quantity.count >= 1000:
        spoken = context.message.strip()
        if spoken.isdigit():
            return Request(Action.NONE, spoken)
    if request.action is Action.WANT and quantity is not None and not quantity.indefinite:
        return replace(request, action=Action.ADD, committed=True)
    return request


def _calls(*calls: PlannedCall) -> PlannerStep:
    return PlannerStep(calls=calls, planner=NAME)


def _ended() -> PlannerStep:
    return PlannerStep(planner=NAME)
