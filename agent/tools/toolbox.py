"""Runs tool calls against a state: by name, timed, refusals as results. The one place that turns effects into state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from agent.catalogue.remembered import RememberedSearch
from agent.conversation.limits import LARGEST_ORDER_BYTES, AgentLimits, OrderRoom
from agent.conversation.state import ShownCards, ThreadState, ToolCall, ToolResult
from agent.orders.errors import OrderClosedError
from agent.ports import CatalogueSearch, OrderSink
from agent.tools import catalogue_tools, order_tools
from agent.tools.effect import UNKNOWN_TOOL, Effect, ToolRefusedError
from runtime.clock import Clock

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ToolBox:
    """The tools over one catalogue and one place for orders."""

    search: CatalogueSearch
    orders: OrderSink
    clock: Clock
    limits: AgentLimits
    room: OrderRoom = field(default_factory=lambda: OrderRoom(LARGEST_ORDER_BYTES))

    async def run(self, state: ThreadState, calls: Sequence[ToolCall]) -> tuple[ThreadState, list[ToolResult]]:
        """Run calls one after the other, each on the state that the one before left. A refused call changes nothing.

        Raises:
            RetryableError: a store did not answer; nothing of these calls is kept, and they can be run again.
        """
        search = RememberedSearch(self.search)
        results = []
        for call in calls:
            started = self.clock.monotonic()
            try:
                effect = await self._effect(state, call, search)
            except ToolRefusedError as refusal:
                outcome = (False, refusal.reason, refusal.data)
            except OrderClosedError:
                outcome = (False, "order_closed", {})
            else:
                state = applied(state, effect, kept=self.limits.kept_shown, cards=self.limits.cards)
                outcome = (True, "", effect.data)
            ok, reason, data = outcome
            milliseconds = round((self.clock.monotonic() - started) * 1000, 3)
            results.append(ToolResult(**call, ok=ok, reason=reason, data=data, milliseconds=milliseconds))
            log.debug("tool called", tool=call["name"], ok=ok, reason=reason, ms=milliseconds)
        return state, results

    async def _effect(  # noqa: PLR0911 - one return a case reads as the table that it is
        self, state: ThreadState, call: ToolCall, search: CatalogueSearch
    ) -> Effect:
        args = call["args"]
        match call["name"]:
            case "catalog_search":
                return await catalogue_tools.catalog_search(state, args, search, self.limits)
            case "follow_up_resolve":
                return await catalogue_tools.follow_up_resolve(state, args, search, self.limits)
            case "order_add":
                return await order_tools.order_add(state, args, search, self.limits, self.room)
            case "order_update":
                return await order_tools.order_update(state, args, search, self.limits)
            case "order_remove":
                return order_tools.order_remove(state, args)
            case "order_show":
                return order_tools.order_show(state)
            case "order_clear":
                return await order_tools.order_clear(state, self.orders)
            case "order_submit":
                return await order_tools.order_submit(state, search, self.orders, self.room)
            case _:
                raise ToolRefusedError(UNKNOWN_TOOL)


def applied(state: ThreadState, effect: Effect, *, kept: int, cards: int) -> ThreadState:
    """The state with a tool's effect in it."""
    changed = state.copy()
    if effect.draft is not None:
        changed["draft"] = effect.draft
    if effect.focus is not None:
        changed["focus"] = list(effect.focus)
    if effect.topic is not None:
        changed["topic"] = effect.topic
    if effect.shown is not None and effect.shown["cards"]:
        changed["shown"] = _with_shown(state.get("shown", []), effect.shown, cards)[-kept:]
    if effect.submitted is not None:
        ids = state.get("submitted", [])
        changed["submitted"] = ids if effect.submitted in ids else [*ids, effect.submitted]
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
