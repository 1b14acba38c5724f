"""The end of a turn that has none: what the person is told, and a state from which the conversation goes on. Pure.

What of the state can be read stays, the open order with it. Where one turn after another has to be closed, it may be the
state that they fail at, so the third begins afresh: no conversation is stuck for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import ValidationError

from agent.conversation.draft import empty_draft
from agent.conversation.mending import sound_state
from agent.conversation.state import JsonValue, Language, Message, ReplyState, ThreadState
from agent.replies.phrases import phrase
from schemas.api.chat import ReplyOrder, TurnMetadata, TurnReply

FAILED: Final = "failed"
"""`metadata.stopped` of a turn that was closed."""

_IN_A_ROW: Final = 3
"""Turns closed one after the other, from which on the state is not believed any more."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the person wrote in the turn that is closed, under which key, and whether the conversation holds it already."""

    message: str
    key: str
    begun: bool


def closed_turn(stored: Mapping[str, Any], said: Said, fresh: ThreadState, *, kept_messages: int) -> ThreadState:
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
