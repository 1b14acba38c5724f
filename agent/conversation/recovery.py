"""What a conversation goes on from after a failure: what of a stored state can still be read, and a turn that is closed. Pure.

A conversation is kept for months, so what is stored is input like any other: another release wrote it, or nobody who keeps
to its form. Whatever of it is not what the code of today goes by is left out here, once; nothing that is stored makes this
raise. A turn that cannot be ended is closed with an apology, the open order kept. Where one turn after another has to be
closed, it may be the state that they fail at, so the third begins afresh: no conversation is stuck for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar, cast

from pydantic import ValidationError

from agent.conversation.order import empty_draft
from agent.conversation.phrases import phrase
from agent.conversation.products import (
    LONGEST_CURRENCY,
    LONGEST_PACK,
    LONGEST_SKU,
    LONGEST_TITLE,
    LONGEST_UNIT,
    bounded,
    plain,
)
from agent.conversation.quantity import QuantityError, quantity_of
from agent.conversation.state import (
    Card,
    Draft,
    DraftLine,
    JsonValue,
    Message,
    Offer,
    ReplyState,
    ShownCards,
    ThreadState,
)
from agent.language.detection import Language
from schemas.api.chat import ReplyOrder, TurnMetadata, TurnReply

T = TypeVar("T")

_LANGUAGES: Final = ("es", "en", "pt")
_LONGEST_AMOUNT: Final = 40
_MOST_DIGITS: Final = 30
_CARD_TEXTS: Final = ("sku", "title", "brand", "unit", "currency", "image")


def sound_draft(stored: object) -> Draft | None:
    """The open order without the lines that cannot be read; None where nothing says which order it is."""
    if not isinstance(stored, Mapping):
        return None
    order_id, serial, lines = stored.get("order_id"), stored.get("serial"), stored.get("lines")
    if not isinstance(order_id, str) or not order_id or not isinstance(serial, int):
        return None
    return Draft(order_id=order_id, serial=serial, lines=_each(lines, _line))


def draft_of(state: ThreadState) -> Draft:
    """The open order, as far as what is stored of it is one; the first one of a thread is empty."""
    return sound_draft(state.get("draft")) or empty_draft(state["tenant"], state["thread"], 1)


def sound_state(stored: Mapping[str, Any], tenant: str, thread: str) -> ThreadState:
    """A whole state without what cannot be read, and without the work of a turn."""
    state = ThreadState(tenant=tenant, thread=thread)
    turn = stored.get("turn")
    state["turn"] = turn if isinstance(turn, int) and turn >= 0 else 0
    if isinstance(customer := stored.get("customer"), str):
        state["customer"] = customer
    state["language"] = next((one for one in _LANGUAGES if one == stored.get("language")), "es")
    state["messages"] = _each(stored.get("messages"), _message)
    state["shown"] = _each(stored.get("shown"), _shown)
    topic = stored.get("topic")
    state["topic"] = topic if isinstance(topic, str) else ""
    state["focus"] = _each(stored.get("focus"), _text)
    state["submitted"] = _each(stored.get("submitted"), _text)
    draft = sound_draft(stored.get("draft"))
    if draft is not None:
        state["draft"] = draft
    state["offer"] = _offer(stored.get("offer"))
    return state


def _each(stored: object, read: Callable[[Any], T | None]) -> list[T]:
    things = stored if isinstance(stored, list | tuple) else ()
    return [thing for thing in map(read, things) if thing is not None]


def _line(stored: object) -> DraftLine | None:
    if not isinstance(stored, Mapping) or not isinstance(sku := stored.get("sku"), str) or not sku:
        return None
    try:
        quantity = quantity_of(stored.get("quantity"))
    except QuantityError:
        return None
    return DraftLine(
        sku=sku[:LONGEST_SKU],
        title=bounded(_text(stored.get("title")) or sku, LONGEST_TITLE),
        quantity=plain(quantity),
        unit=bounded(_text(stored.get("unit")) or "", LONGEST_UNIT),
        pack=bounded(_text(stored.get("pack")) or "", LONGEST_PACK),
        price_shown=_amount(stored.get("price_shown")),
        currency=bounded(_text(stored.get("currency")) or "", LONGEST_CURRENCY),
    )


def _message(stored: object) -> Message | None:
    if not isinstance(stored, Mapping) or stored.get("role") not in {"user", "agent"}:
        return None
    text, turn = stored.get("text"), stored.get("turn")
    if not isinstance(text, str) or not isinstance(turn, int):
        return None
    return Message(role="user" if stored["role"] == "user" else "agent", text=text, turn=turn)


def _shown(stored: object) -> ShownCards | None:
    if not isinstance(stored, Mapping) or not isinstance(turn := stored.get("turn"), int):
        return None
    return ShownCards(turn=turn, query=_text(stored.get("query")) or "", cards=_each(stored.get("cards"), _card))


def _card(stored: object) -> Card | None:
    if not isinstance(stored, Mapping) or not all(isinstance(stored.get(name), str) for name in _CARD_TEXTS):
        return None
    texts = {name: stored[name] for name in _CARD_TEXTS}
    numbers = {name: _amount(stored.get(name)) for name in ("price", "stock")}
    others = {"matched": _each(stored.get("matched"), _text), "weak": stored.get("weak") is True}
    return cast("Card", {**texts, **numbers, **others})


def _offer(stored: object) -> Offer | None:
    if not isinstance(stored, Mapping):
        return None
    order_id, digest, turn = stored.get("order_id"), stored.get("digest"), stored.get("turn")
    if not isinstance(order_id, str) or not isinstance(digest, str) or not isinstance(turn, int):
        return None
    return Offer(order_id=order_id, digest=digest, turn=turn)


def _text(stored: object) -> str | None:
    return stored if isinstance(stored, str) else None


def _amount(stored: object) -> str | None:
    """Decimal text that is a finite number; None for what is none."""
    if not isinstance(stored, str) or len(stored) > _LONGEST_AMOUNT:
        return None
    try:
        number = Decimal(stored)
    except InvalidOperation:
        return None
    return stored if number.is_finite() and abs(number.adjusted()) <= _MOST_DIGITS else None


FAILED: Final = "failed"
"""`metadata.stopped` of a turn that was closed."""

_IN_A_ROW: Final = 3
"""Turns closed one after the other, from which on the state is not believed any more."""


@dataclass(frozen=True, slots=True)
class ClosedMessage:
    """What the person wrote in the turn that is closed, under which key, and whether the conversation holds it already."""

    message: str
    key: str
    begun: bool


def closed_turn(
    stored: Mapping[str, Any], said: ClosedMessage, fresh: ThreadState, *, kept_messages: int
) -> ThreadState:
    """The whole state after the turn. `fresh` is one without anything in it: names, language, an order of its own."""
    before = sound_state(stored, fresh["tenant"], fresh["thread"])
    language = before["language"] if "language" in stored else fresh["language"]
    turn = before["turn"] if said.begun else before["turn"] + 1
    closed = _closed_before(stored) + 1
    begins_anew = closed >= _IN_A_ROW
    text = phrase(language, "turn_begun_anew" if begins_anew else "turn_failed")
    spoken = [Message(role="user", text=said.message, turn=turn)] if said.message and not said.begun else []
    messages = [*before["messages"], *spoken, Message(role="agent", text=text, turn=turn)]
    kept = fresh if begins_anew else before
    order = ReplyOrder() if begins_anew else _shown_order(stored, before)
    reply = TurnReply(
        tenant=fresh["tenant"],
        thread=fresh["thread"],
        turn=turn,
        text=text,
        language=language,
        order=order,
        submitted=tuple(before["submitted"]),
        state="awaiting_confirmation" if order.lines else "open",
        metadata=TurnMetadata(planner="none", asks_back=True, stopped=FAILED),
    )
    last = ReplyState(
        key=said.key,
        reply=cast("dict[str, JsonValue]", reply.model_dump(mode="json")),
        closed=0 if begins_anew else closed,
    )
    ended: ThreadState = {
        **kept,
        "turn": turn,
        "language": language,
        "messages": messages[-kept_messages:],
        "draft": kept.get("draft") or fresh["draft"],
        "submitted": before["submitted"],
        "last": last,
    }
    return ended


def last_reply(stored: Mapping[str, Any]) -> tuple[str, TurnReply] | None:
    """The idempotency key and the reply of the last turn; None where there is none that can be read."""
    last = stored.get("last")
    if not isinstance(last, Mapping) or not isinstance(key := last.get("key"), str):
        return None
    try:
        return key, TurnReply.model_validate(last.get("reply"))
    except ValidationError:
        return None


def fresh_state(tenant: str, thread: str, *, serial: int, language: Language = "es") -> ThreadState:
    """A conversation without a past. `serial` is one that no order of this conversation had."""
    return ThreadState(
        tenant=tenant,
        thread=thread,
        language=language,
        turn=0,
        messages=[],
        shown=[],
        topic="",
        focus=[],
        draft=empty_draft(tenant, thread, serial),
        offer=None,
        submitted=[],
    )


def _closed_before(stored: Mapping[str, Any]) -> int:
    last = stored.get("last")
    closed = last.get("closed") if isinstance(last, Mapping) else None
    return closed if isinstance(closed, int) else 0


def _shown_order(stored: Mapping[str, Any], state: ThreadState) -> ReplyOrder:
    """The open order as it was last shown; empty where another one is open by now."""
    last = last_reply(stored)
    draft = state.get("draft")
    if last is None or draft is None or last[1].order.order_id != draft["order_id"] or not draft["lines"]:
        return ReplyOrder()
    return last[1].order
