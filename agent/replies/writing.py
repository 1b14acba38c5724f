"""The reply's text from what the turn did: outcomes first, then cards with prices, then the order and what is asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile
from typing import Any, Final, cast

from agent.conversation.cards import plain
from agent.conversation.state import Card, ThreadState, ToolResult
from agent.orders.model import LineNotice, Order, OrderLine
from agent.replies.phrases import phrase
from agent.replies.units import unit_for

_CHANGING: Final = frozenset({"order_add", "order_update", "order_remove", "order_show", "order_clear", "order_submit"})
_REFUSALS: Final = {
    "not_in_order": "not_in_order",
    "empty_order": "empty_order",
    "not_confirmed": "confirm_again",
    "not_shown": "confirm_again",
    "changed": "confirm_changed",
    "order_closed": "confirm_changed",
    "invalid_quantity": "quantity_invalid",
    "quantity_too_small": "quantity_too_small",
    "quantity_too_large": "quantity_too_large",
    "too_many_lines": "too_many_lines",
    "order_too_large": "order_too_large",
    "unknown_sku": "not_found",
}


_JOINING: Final = frozenset({"de", "del", "para", "con", "en", "of", "for", "with", "do", "da", "x"})


@dataclass(frozen=True, slots=True)
class WrittenReply:
    """The text, and what it amounts to."""

    text: str
    asks_back: bool
    no_results: bool
    low_confidence: bool
    submitted: bool


def write_reply(state: ThreadState, order: Order, cards: Sequence[Card]) -> WrittenReply:
    """Write what the turn did, in its language."""
    work = state["work"]
    results = work["results"]

    def say(key: str, **values: object) -> str:
        return phrase(state.get("language", "es"), key, **values)

    outcomes = [sentence for result in results for sentence in _outcome(result, say)]
    missing = [result for result in results if _is_missing(result)]
    open_choices = [result for result in results if result["data"].get("status") in {"ambiguous", "unknown"}]
    submitted = any(result["ok"] and result["name"] == "order_submit" for result in results)
    changed = any(result["name"] in _CHANGING for result in results) and not submitted
    parts = []
    if apology := work.get("apology"):
        parts.append(say(apology))
    if work["stopped"]:
        parts.append(say("stopped"))
    if work["note"]:
        parts.append(say(work["note"]))
    parts.extend(outcomes)
    weak = bool(cards) and all(card["weak"] for card in cards)
    shows_cards = bool(cards) and not submitted
    if shows_cards:
        heading = "weak" if weak else "which" if open_choices else "found"
        parts.append("\n".join([say(heading), *(f"{rank}. {_card(card, say)}" for rank, card in enumerate(cards, 1))]))
    elif open_choices:
        parts.append(say("rank_unknown" if open_choices[0]["data"].get("how") == "rank" else "which_product"))
    parts.extend(_left_open(results, cards, say))
    if changed and order.lines:
        parts.append(_order(order, say))
        parts.append(say("confirm_question"))
    elif changed and not any(
        result["name"] == "order_clear" or result["reason"] == "empty_order" for result in results
    ):
        parts.append(say("empty_order"))
    if not parts:
        parts.append(say("failed"))
    text = "\n".join(parts)
    asks = (
        bool(open_choices)
        or (bool(missing) and not cards)
        or "?" in parts[-1].split("\n")[0]
        or (changed and bool(order.lines))
    )
    return WrittenReply(text, asks, bool(missing) and (weak or not cards), weak or bool(open_choices), submitted)


Say = Callable[..., str]


def _outcome(result: ToolResult, say: Say) -> list[str]:  # noqa: PLR0911 - one return a case reads as the table that it is
    """What one tool call has to say for itself."""
    data: dict[str, Any] = cast("dict[str, Any]", result["data"])
    if not result["ok"]:
        key = _REFUSALS.get(result["reason"], "failed")
        return [say(key, largest=data.get("largest", ""), smallest=data.get("smallest", ""))]
    match result["name"]:
        case "order_add":
            unit = unit_for(Decimal(data["added"]), data["unit"])
            return [say("added", quantity=data["added"], unit=unit, title=data["title"]), *_mismatch(data, say)]
        case "order_update":
            unit = unit_for(Decimal(data["quantity"]), data["unit"])
            return [say("updated", quantity=data["quantity"], unit=unit, title=data["title"]), *_mismatch(data, say)]
        case "order_remove":
            return [say("removed", title=data["title"])]
        case "order_clear":
            return [say("cleared")]
        case "order_submit":
            total = _money(Decimal(data["total"]), data["currency"])
            extra = f" {say('unpriced', count=data['unpriced'])}" if data["unpriced"] else ""
            return [say("submitted", order=str(data["order_id"])[:8], total=total + extra)]
        case _:
            if _is_missing(result):
                what = _asked_for(result)
                return [say("not_found_named", what=what) if _is_printable(what) else say("not_found")]
            return []


def _left_open(results: Sequence[ToolResult], cards: Sequence[Card], say: Say) -> list[str]:
    """What else of a long message waits for a choice, though no card of it found room."""
    shown = {card["sku"] for card in cards}
    waiting = [result for result in results if _awaits_choice(result) and shown.isdisjoint(_skus(result))]
    said = [_sayable(_asked_for(result)) for result in waiting]
    return [say("open_named", what=what) if what else say("open") for what in dict.fromkeys(said)]


def _asked_for(result: ToolResult) -> str:
    """What a look-up looked for, in a person's words or in those that were searched."""
    return str(result["data"].get("query") or result["args"].get("reference") or "")


def _skus(result: ToolResult) -> set[str]:
    return {card["sku"] for card in cast("list[Card]", result["data"]["cards"])}


def _awaits_choice(result: ToolResult) -> bool:
    """Whether this look-up found products of which none has been chosen."""
    data = result["data"]
    if not result["ok"] or not data.get("cards"):
        return False
    if result["name"] == "catalog_search":
        return bool(data.get("confident"))
    return data.get("status") == "ambiguous"


def _sayable(what: str) -> str:
    """The words before the first number, where they are plain enough to be said back; empty: they are not."""
    words = list(takewhile(lambda word: not any(map(str.isdigit, word)), what.split()))
    while words and words[-1] in _JOINING:
        words.pop()
    said = " ".join(words)
    return said if _is_printable(said) else ""


def _mismatch(data: dict[str, Any], say: Say) -> list[str]:
    """What a person has to know who counted otherwise than the shop packs."""
    return [say(data["mismatch"], pack=data["pack"], unit=data["unit"])] if data.get("mismatch") else []


def _is_missing(result: ToolResult) -> bool:
    """Whether a search came back without what was asked for."""
    if result["name"] == "catalog_search":
        return result["ok"] and not result["data"].get("confident")
    return result["name"] == "follow_up_resolve" and result["data"].get("status") == "missing"


def _is_printable(what: str) -> bool:
    """Whether a person's words are short and plain enough to be said back."""
    return (
        0 < len(what) <= 40
        and all(character.isalnum() or character in " .,/-" for character in what)
        and not any(map(str.isdigit, what))
    )


def _card(card: Card, say: Say) -> str:
    price = say("no_price") if card["price"] is None else _money(Decimal(card["price"]), card["currency"])
    unit = f" / {card['unit']}" if card["unit"] and card["price"] is not None else ""
    stock = ""
    if card["stock"] is not None:
        stock = (
            f" — {say('out_of_stock')}" if Decimal(card["stock"]) <= 0 else f" — {say('stock', stock=card['stock'])}"
        )
    return f"{card['title']} ({card['sku']}) — {price}{unit}{stock}"


def _order(order: Order, say: Say) -> str:
    lines = [say("order")]
    lines.extend(f"- {_line(line, order.currency, say)}" for line in order.lines)
    total = say("total", total=_money(order.total, order.currency))
    lines.append(f"{total} {say('unpriced', count=order.unpriced)}" if order.unpriced else total)
    return "\n".join(lines)


def _line(line: OrderLine, currency: str, say: Say) -> str:
    price = say("no_price") if line.price is None else _money(line.price, currency)
    amount = "" if line.amount is None else f" = {_money(line.amount, currency)}"
    unit = f" {unit_for(line.quantity, line.unit)}" if line.unit else ""
    notices = [
        _notice(notice, line, currency, say) for notice in line.notices if notice is not LineNotice.PRICE_UNKNOWN
    ]
    told = f" [{'; '.join(notices)}]" if notices else ""
    return f"{plain(line.quantity)}{unit} x {line.title} ({line.sku}) x {price}{amount}{told}"


def _notice(notice: LineNotice, line: OrderLine, currency: str, say: Say) -> str:
    before = "" if line.price_shown is None else _money(line.price_shown, currency)
    stock = "" if line.stock is None else plain(line.stock)
    return say(str(notice), before=before, stock=stock)


def _money(amount: Decimal, currency: str) -> str:
    """An amount to the cent, without thousands separators, which countries write in opposite ways."""
    return f"{currency + ' ' if currency else '$'}{amount:.2f}"
