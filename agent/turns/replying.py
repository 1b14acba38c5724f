"""The last node: the order as it stands now, the reply's text, and what a confirmation would confirm from here on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

from agent.conversation.limits import AgentLimits
from agent.conversation.order import Order, OrderStatus, order_of, repriced
from agent.conversation.recovery import draft_of
from agent.conversation.state import Card, JsonValue, Message, Offer, ReplyState, ThreadState, TurnWork
from agent.ports import CatalogueSearch, OrderSink
from agent.replies import guarded, shows_order, write_reply
from runtime.clock import Clock
from schemas.api.chat import ReplyCard, ReplyOrder, ToolTrace, TurnMetadata, TurnReply
from schemas.identity import TenantId


class ReplyNode:
    """Writes the reply, and keeps the order as it was shown where it can be confirmed from."""

    def __init__(self, search: CatalogueSearch, orders: OrderSink, clock: Clock, limits: AgentLimits) -> None:
        self._search = search
        self._orders = orders
        self._clock = clock
        self._limits = limits

    async def __call__(self, state: ThreadState) -> dict[str, Any]:
        """Price the order afresh, offer it, write the text."""
        started = self._clock.monotonic()
        draft = draft_of(state)
        tenant = TenantId(state["tenant"])
        items = await self._search.items(tenant, [line["sku"] for line in draft["lines"]])
        order = order_of(draft, tenant, state["thread"], state.get("customer", ""), items)
        if order.lines:
            await self._orders.offer(order)
        shown = state.get("shown", [])
        searched = shown[-1]["cards"] if shown and shown[-1]["turn"] == state.get("turn", 0) else []
        cards = searched or _resolved_cards(state["work"])
        written = write_reply(state, order, cards)
        text = guarded(state["work"]["reply"], written.text, order, cards)
        metadata = _metadata(state["work"], written.asks_back, written.no_results, written.low_confidence)
        timings = {**metadata.latency_ms, "reply": round((self._clock.monotonic() - started) * 1000, 3)}
        timings["total"] = round((self._clock.now_us() - state["work"]["started_us"]) / 1000, 3)
        reply = TurnReply(
            tenant=state["tenant"],
            thread=state["thread"],
            turn=state.get("turn", 0),
            text=text,
            language=state.get("language", "es"),
            cards=tuple(_reply_card(rank, card) for rank, card in enumerate(cards[: self._limits.cards], start=1)),
            order=reply_order(order),
            submitted=tuple(state.get("submitted", [])),
            state="submitted" if written.submitted else "awaiting_confirmation" if order.lines else "open",
            metadata=metadata.model_copy(update={"latency_ms": timings}),
        )
        turn = state.get("turn", 0)
        kept = [*state.get("messages", []), Message(role="agent", text=text, turn=turn)][-self._limits.kept_messages :]
        return {
            "messages": kept,
            "draft": repriced(draft, items),
            "offer": Offer(order_id=order.order_id, digest=order.digest, turn=turn) if order.lines else None,
            "last": ReplyState(
                key=state["work"]["key"], reply=cast("dict[str, JsonValue]", reply.model_dump(mode="json"))
            ),
        }


def _resolved_cards(work: TurnWork) -> list[Card]:
    """What was asked about without a search, a price say: the product that was meant."""
    if any(map(shows_order, work["results"])):
        return []
    cards = [
        cast("list[Card]", result["data"]["cards"])[:1]
        for result in work["results"]
        if result["ok"] and result["data"].get("status") == "resolved" and result["data"].get("cards")
    ]
    return [card for found in cards for card in found]


def reply_order(order: Order) -> ReplyOrder:
    """An order as replies show it."""
    if not order.lines:
        return ReplyOrder(order_id="", status="empty")
    submitted = order.status is OrderStatus.SUBMITTED
    return ReplyOrder(
        order_id=order.order_id,
        digest=order.digest,
        status="submitted" if submitted else "awaiting_confirmation",
        lines=order.lines,
        total=order.total,
        unpriced=order.unpriced,
        currency=order.currency,
    )


def _reply_card(rank: int, card: Card) -> ReplyCard:
    return ReplyCard(
        rank=rank,
        sku=card["sku"],
        title=card["title"],
        brand=card["brand"],
        unit=card["unit"],
        price=None if card["price"] is None else Decimal(card["price"]),
        currency=card["currency"],
        stock=None if card["stock"] is None else Decimal(card["stock"]),
        image=card["image"],
        matched=tuple(card["matched"]),
        weak=card["weak"],
    )


def _metadata(work: TurnWork, asks_back: bool, no_results: bool, low_confidence: bool) -> TurnMetadata:
    uses = work["uses"]
    tools = tuple(
        ToolTrace(
            name=result["name"],
            args=dict(result["args"]),
            ok=result["ok"],
            reason=result["reason"],
            milliseconds=result["milliseconds"],
        )
        for result in work["results"]
    )
    tool_ms = round(sum(result["milliseconds"] for result in work["results"]), 3)
    return TurnMetadata(
        planner=uses[-1]["planner"] if uses else "none",
        llm_bypassed=work["bypassed"],
        degraded=next((use["degraded"] for use in reversed(uses) if use["degraded"]), ""),
        tools=tools,
        models=tuple(dict.fromkeys(use["model"] for use in uses if use["model"])),
        input_tokens=sum(use["input_tokens"] for use in uses),
        output_tokens=sum(use["output_tokens"] for use in uses),
        cost=sum((Decimal(use["cost"]) for use in uses), Decimal(0)),
        latency_ms={**work["timings_ms"], "tools": tool_ms},
        low_confidence=low_confidence,
        no_results=no_results,
        asks_back=asks_back,
        stopped=work["stopped"],
    )
