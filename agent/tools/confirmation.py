"""Whether the person asked for what cannot be taken back: the one judgement of it, whoever plans the turn.

A planner may want to submit or to empty an order at any time; `ToolRunner` lets it only where this module finds the
person's own words, or the button of the very order, and `order_submit` only for the order as it was shown.
"""

from __future__ import annotations

from agent.conversation.order import Order
from agent.conversation.recovery import draft_of
from agent.conversation.state import ThreadState
from agent.language.actions import Action
from agent.language.guards import is_assent, is_explicit_confirmation
from agent.language.reading import read_message


def asks_to_submit(message: str, *, asked: bool) -> bool:
    """Whether a message confirms an order: in so many words, or as a bare yes where we `asked` whether to confirm."""
    return is_explicit_confirmation(message) or (asked and is_assent(message))


def submission_refusal(state: ThreadState) -> str:
    """Why this turn may not submit the open order, in one stable word; empty where it may."""
    draft, work, offer = draft_of(state), state.get("work"), state.get("offer")
    if not draft["lines"]:
        return "empty_order"
    if work is None:
        return "not_confirmed"
    if work["confirm_order"]:
        return "" if work["confirm_order"] == draft["order_id"] else "not_confirmed"
    asked = offer is not None and offer["turn"] == state.get("turn", 0) - 1
    return "" if asks_to_submit(work["message"], asked=asked) else "not_confirmed"


def clearing_refusal(state: ThreadState) -> str:
    """Why this turn may not empty the open order; empty where the message asks for that."""
    message = state["work"]["message"] if "work" in state else ""
    asks = any(request.action is Action.CLEAR for request in read_message(message))
    return "" if asks else "not_confirmed"


def offer_refusal(state: ThreadState, order: Order) -> str:
    """Why the order, as it stands at this moment, is not the one that the person confirmed; empty where it is."""
    offer = state.get("offer")
    if offer is None or offer["order_id"] != order.order_id:
        return "not_shown"
    wanted = state["work"]["confirm_digest"] if "work" in state else ""
    return "" if order.digest == (wanted or offer["digest"]) else "changed"
