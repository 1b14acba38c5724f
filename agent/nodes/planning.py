"""The planning node: gives the planner what it may know, and takes its next step within the bounds."""

from __future__ import annotations

from typing import Any

import structlog

from agent.conversation.limits import AgentLimits
from agent.conversation.state import ModelUse, ThreadState, ToolCall, storable, storable_text
from agent.ports import CatalogueSearch, Planner, PlannerStep, TurnContext
from agent.tools.order_tools import draft_of
from runtime.clock import Clock
from schemas.identity import TenantId

log = structlog.get_logger(__name__)


class PlanNode:
    """Asks the planner for its next step."""

    def __init__(self, planner: Planner, search: CatalogueSearch, clock: Clock, limits: AgentLimits) -> None:
        self._planner = planner
        self._search = search
        self._clock = clock
        self._limits = limits

    async def __call__(self, state: ThreadState) -> dict[str, Any]:
        """One step: calls to run next, or the end of the turn."""
        work = state["work"]
        hints, timings = work["hints"], dict(work["timings_ms"])
        if work["step"] == 0 and state.get("turn", 0) == 1 and self._limits.hints:
            started = self._clock.monotonic()
            hints = await self._search.vocabulary(TenantId(state["tenant"]), work["message"], limit=self._limits.hints)
            timings["hints"] = _milliseconds(self._clock.monotonic() - started)
        started = self._clock.monotonic()
        step = await self._planner.plan(self._context(state, hints))
        spent = _milliseconds(self._clock.monotonic() - started)
        timings["plan"] = round(timings.get("plan", 0.0) + spent, 3)
        number = work["step"] + 1
        pending = [
            ToolCall(
                id=f"{state.get('turn', 0)}.{number}.{place}",
                name=storable_text(call.name),
                args={storable_text(name): storable(value) for name, value in call.args.items()},
            )
            for place, call in enumerate(step.calls)
        ]
        stopped = "steps" if pending and number >= self._limits.steps else ""
        return {
            "work": {
                **work,
                "step": number,
                "hints": hints,
                "pending": [] if stopped else pending,
                "uses": [*work["uses"], _use(step, self._planner.name, spent)],
                "timings_ms": timings,
                "note": storable_text(step.note) or work["note"],
                "reply": storable_text(step.reply) if not pending else "",
                "stopped": stopped or work["stopped"],
            }
        }

    def _context(self, state: ThreadState, hints: list[str]) -> TurnContext:
        work = state["work"]
        draft = draft_of(state)
        offer = state.get("offer")
        return TurnContext(
            tenant=TenantId(state["tenant"]),
            turn=state.get("turn", 0),
            message=work["message"],
            language=state.get("language", "es"),
            history=tuple(state.get("messages", [])[:-1]),
            shown=tuple(state.get("shown", [])),
            topic=state.get("topic", ""),
            focus=tuple(state.get("focus", [])),
            lines=tuple(draft["lines"]),
            offered=offer is not None and offer["order_id"] == draft["order_id"],
            submitted=tuple(state.get("submitted", [])),
            hints=tuple(hints),
            results=tuple(work["results"]),
            step=work["step"],
            steps_left=self._limits.steps - work["step"],
            calls_left=self._limits.tool_calls - len(work["results"]),
            spender=work.get("spender", ""),
        )


def _use(step: PlannerStep, planner: str, milliseconds: float) -> ModelUse:
    return ModelUse(
        planner=step.planner or planner,
        model=step.model,
        input_tokens=step.input_tokens,
        output_tokens=step.output_tokens,
        cost=str(step.cost),
        milliseconds=milliseconds,
        degraded=step.degraded,
    )


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
