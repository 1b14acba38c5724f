"""The first nodes: the message becomes part of the conversation, the way of the turn is chosen, and the planner takes its next step.

A first turn of one token, or of something shaped like a SKU, needs no planner: search alone answers it, at once.
"""

from __future__ import annotations

import re
from typing import Any, Final

import structlog

from agent.conversation.limits import AgentLimits
from agent.conversation.recovery import draft_of
from agent.conversation.state import Draft, Message, ModelUse, ThreadState, ToolCall, storable, storable_text
from agent.language.actions import Action, read_action
from agent.language.detection import language_of
from agent.ports import CatalogueSearch, Planner, PlannerStep, TurnContext
from retrieval.analysis.folding import fold
from runtime.clock import Clock
from schemas.identity import TenantId

_CODE_APART: Final = re.compile(r"[A-Za-z]{1,5} \d[\w./-]{2,30}")
"""A code in two words: letters, then what begins with a digit."""


async def begin(state: ThreadState) -> dict[str, Any]:
    """Count the turn, tell the language, and clear what the turn before was working on.

    A confirm button goes straight to `order_submit`; a first turn of one token goes past every planner.
    """
    work = state["work"]
    turn = state.get("turn", 0) + 1
    bypassed = not work["confirm_order"] and is_bypassed(work["message"], turn)
    pending = [ToolCall(id=f"{turn}.0.0", name="order_submit", args={})] if work["confirm_order"] else []
    draft = draft_of(state)
    said = [Message(role="user", text=work["message"], turn=turn)] if work["message"] else []
    return {
        "turn": turn,
        "draft": draft,
        "language": language_of(work["message"], locale=work["locale"], before=state.get("language", "es")),
        "messages": [*state.get("messages", []), *said],
        "work": {
            **work,
            "pending": pending,
            "bypassed": bypassed,
            "note": "welcome" if bypassed and not needs_search(work["message"]) else "",
            "apology": work.get("apology") or ("lines_dropped" if _has_dropped(state, draft) else ""),
        },
    }


def _has_dropped(state: ThreadState, draft: Draft) -> bool:
    """Whether the stored order had more lines than could be read of it."""
    stored: object = state.get("draft")
    lines = stored.get("lines") if isinstance(stored, dict) else None
    return isinstance(lines, list) and len(lines) > len(draft["lines"])


def is_bypassed(message: str, turn: int) -> bool:
    """Whether this turn goes past every planner: the first one, and a single token or a code."""
    words = message.split()
    return turn == 1 and (len(words) == 1 or (len(words) == 2 and bool(_CODE_APART.fullmatch(" ".join(words)))))


def needs_search(message: str) -> bool:
    """Whether a bypassed message names something to look for; a greeting or a lone "confirmo" does not."""
    return read_action(fold(message)).action is Action.NONE


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
        if self._planner.reads_hints and work["step"] == 0 and state.get("turn", 0) == 1 and self._limits.hints:
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
