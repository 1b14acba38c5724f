"""Runs tool calls against a state: by name, guarded, timed, refusals as results. The one place that turns changes into state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from agent.conversation.limits import LARGEST_ORDER_BYTES, AgentLimits, OrderSizeLimit
from agent.conversation.state import ShownCards, ThreadState, ToolCall, ToolResult
from agent.errors import OrderClosedError
from agent.ports import CatalogueSearch, OrderSink
from agent.tools.cached_search import CachedSearch
from agent.tools.catalogue_tools import CATALOGUE_TOOLS
from agent.tools.confirmation import clearing_refusal, submission_refusal
from agent.tools.order_tools import ORDER_TOOLS
from agent.tools.registry import UNKNOWN_TOOL, Change, Effect, ToolContext, ToolRefusedError, ToolRegistry
from runtime.clock import Clock

log = structlog.get_logger(__name__)

TOOLS: Final = ToolRegistry((*CATALOGUE_TOOLS, *ORDER_TOOLS))
"""The tools that a planner may call."""

_GUARDS: Final[Mapping[str, Callable[[ThreadState], str]]] = {
    "order_submit": submission_refusal,
    "order_clear": clearing_refusal,
}
"""By guarded tool: why it may not run in a state; empty where it may."""


@dataclass(frozen=True, slots=True)
class ToolRunner:
    """The tools over one catalogue and one place for orders."""

    search: CatalogueSearch
    orders: OrderSink
    clock: Clock
    limits: AgentLimits
    size_limit: OrderSizeLimit = field(default_factory=lambda: OrderSizeLimit(LARGEST_ORDER_BYTES))

    async def run(self, state: ThreadState, calls: Sequence[ToolCall]) -> tuple[ThreadState, list[ToolResult]]:
        """Run calls one after the other, each on the state that the one before left. A refused call changes nothing.

        Raises:
            RetryableError: a store did not answer; nothing of these calls is kept, and they can be run again.
        """
        search = CachedSearch(self.search)
        results = []
        for call in calls:
            started = self.clock.monotonic()
            context = ToolContext(state, search, self.orders, self.limits, self.size_limit)
            try:
                change = await _run(context, call)
            except ToolRefusedError as refusal:
                outcome = (False, refusal.reason, refusal.data)
            except OrderClosedError:
                outcome = (False, "order_closed", {})
            else:
                state = applied(state, change, kept=self.limits.kept_shown, cards=self.limits.cards)
                outcome = (True, "", change.data)
            ok, reason, data = outcome
            milliseconds = round((self.clock.monotonic() - started) * 1000, 3)
            results.append(ToolResult(**call, ok=ok, reason=reason, data=data, milliseconds=milliseconds))
            log.debug("tool called", tool=call["name"], ok=ok, reason=reason, ms=milliseconds)
        return state, results


async def _run(context: ToolContext, call: ToolCall) -> Change:
    tool = TOOLS.get(call["name"])
    if tool is None:
        raise ToolRefusedError(UNKNOWN_TOOL)
    arguments = tool.read(call["args"])
    if tool.effect is Effect.GUARDED and (refusal := _GUARDS[tool.name](context.state)):
        raise ToolRefusedError(refusal)
    return await tool.run(context, arguments)


def applied(state: ThreadState, change: Change, *, kept: int, cards: int) -> ThreadState:
    """The state with a tool's change in it."""
    changed = state.copy()
    if change.draft is not None:
        changed["draft"] = change.draft
    if change.focus is not None:
        changed["focus"] = list(change.focus)
    if change.topic is not None:
        changed["topic"] = change.topic
    if change.shown is not None and change.shown["cards"]:
        changed["shown"] = _with_shown(state.get("shown", []), change.shown, cards)[-kept:]
    if change.submitted is not None:
        ids = state.get("submitted", [])
        changed["submitted"] = ids if change.submitted in ids else [*ids, change.submitted]
        changed["offer"] = None
    return changed


def _with_shown(shown: list[ShownCards], new: ShownCards, limit: int) -> list[ShownCards]:
    """Cards of one turn are one list: those of a second search come after those of the first, each product once."""
    if not shown or shown[-1]["turn"] != new["turn"]:
        return [*shown, new]
    before = shown[-1]
    fresh = [card for card in new["cards"] if card["sku"] not in {each["sku"] for each in before["cards"]}]
    # Every search of the turn gets its share of the places, its best cards first.
    share = max(1, limit - max(1, len(fresh[:2])))
    merged = [*before["cards"][:share], *fresh, *before["cards"][share:]][:limit]
    return [*shown[:-1], ShownCards(turn=new["turn"], query=new["query"], cards=merged)]
