"""What of a stored state can still be read: another release wrote it, or nobody who keeps to its form.

A conversation is kept for months, so what is stored is input like any other. Whatever of it is not what the code of today
goes by is left out here, once, instead of failing at every turn. Pure and total: nothing that is stored makes this raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final, TypeVar, cast

from agent.conversation.cards import plain
from agent.conversation.quantity import QuantityError, quantity_of
from agent.conversation.state import Card, Draft, DraftLine, Message, Offer, ShownCards, ThreadState
from agent.conversation.texts import (
    LONGEST_CURRENCY,
    LONGEST_PACK,
    LONGEST_SKU,
    LONGEST_TITLE,
    LONGEST_UNIT,
    bounded,
)

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
