"""The reply's text from what the turn did: outcomes first, then cards with prices, then the order and what is asked.

A model's own words stand above it where they are truthful: no price, total or discount of its making reaches a person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile
from typing import Any, Final, cast

from agent.conversation.order import Order
from agent.conversation.phrases import Say, money, phrase, unit_for
from agent.conversation.products import plain
from agent.conversation.state import Card, ThreadState, ToolResult
from agent.tools.dispatch import TOOLS
from agent.tools.registry import Effect
from schemas.records.orders import LineNotice, OrderLine

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


_GUARDED: Final = TOOLS.names(Effect.GUARDED)
_JOINING: Final = frozenset({"de", "del", "para", "con", "en", "of", "for", "with", "do", "da", "x"})


_NUMBER: Final = re.compile(r"\d[\d.,]*+")
_SIGN_BEFORE: Final = re.compile(
    r"(?:[$€£]|\b(?:US|RD|S/|Bs)\.?\s?\$?|\b(?:MXN|USD|COP|ARS|PEN|DOP|EUR|BRL)\s?)\s?$", re.IGNORECASE
)
_LONGEST_SIGN: Final = 8
_WORD_BEHIND: Final = re.compile(
    r"\s?(?:pesos|d[oó]lares|soles|dollars|euros|reais|MXN|USD|COP|ARS|PEN|DOP|EUR|BRL)\b", re.IGNORECASE
)
_PERCENT: Final = re.compile(r"\d\s?(?:%|por ciento|percent)", re.IGNORECASE)
_SUBMITTED: Final = re.compile(
    r"\b(?:pedido|orden|order)\b.{0,30}\b(?:enviad|confirmad|submitted|placed|sent|confirmed)\w*", re.IGNORECASE
)
_LONGEST: Final = 1_500


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
    changed = any(map(shows_order, results)) and not submitted
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
    elif changed and not any(result["name"] in _GUARDED or result["reason"] == "empty_order" for result in results):
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


def shows_order(result: ToolResult) -> bool:
    """Whether a call was about the open order, which the reply then shows."""
    tool = TOOLS.get(result["name"])
    return tool is not None and tool.words.shows_order


def _outcome(result: ToolResult, say: Say) -> list[str]:
    """What one tool call has to say for itself."""
    data: dict[str, Any] = cast("dict[str, Any]", result["data"])
    if not result["ok"]:
        key = _REFUSALS.get(result["reason"], "failed")
        return [say(key, largest=data.get("largest", ""), smallest=data.get("smallest", ""))]
    if _is_missing(result):
        what = _asked_for(result)
        return [say("not_found_named", what=what) if _is_printable(what) else say("not_found")]
    tool = TOOLS.get(result["name"])
    return [] if tool is None else tool.words.told(data, say)


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
    return data["status"] == "ambiguous" if "status" in data else bool(data.get("confident"))


def _sayable(what: str) -> str:
    """The words before the first number, where they are plain enough to be said back; empty: they are not."""
    words = list(takewhile(lambda word: not any(map(str.isdigit, word)), what.split()))
    while words and words[-1] in _JOINING:
        words.pop()
    said = " ".join(words)
    return said if _is_printable(said) else ""


def _is_missing(result: ToolResult) -> bool:
    """Whether a look-up came back without what was asked for: a resolved reference says its status, a search its confidence."""
    data = result["data"]
    return data["status"] == "missing" if "status" in data else data.get("confident") is False


def _is_printable(what: str) -> bool:
    """Whether a person's words are short and plain enough to be said back."""
    return (
        0 < len(what) <= 40
        and all(character.isalnum() or character in " .,/-" for character in what)
        and not any(map(str.isdigit, what))
    )


def _card(card: Card, say: Say) -> str:
    price = say("no_price") if card["price"] is None else money(Decimal(card["price"]), card["currency"])
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
    total = say("total", total=money(order.total, order.currency))
    lines.append(f"{total} {say('unpriced', count=order.unpriced)}" if order.unpriced else total)
    return "\n".join(lines)


def _line(line: OrderLine, currency: str, say: Say) -> str:
    price = say("no_price") if line.price is None else money(line.price, currency)
    amount = "" if line.amount is None else f" = {money(line.amount, currency)}"
    unit = f" {unit_for(line.quantity, line.unit)}" if line.unit else ""
    notices = [_notice(notice, line, currency, say) for notice in line.notices if notice != LineNotice.PRICE_UNKNOWN]
    told = f" [{'; '.join(notices)}]" if notices else ""
    return f"{plain(line.quantity)}{unit} x {line.title} ({line.sku}) x {price}{amount}{told}"


def _notice(notice: str, line: OrderLine, currency: str, say: Say) -> str:
    before = "" if line.price_shown is None else money(line.price_shown, currency)
    stock = "" if line.stock is None else plain(line.stock)
    return say(notice, before=before, stock=stock)


def guarded(own: str, written: str, order: Order, cards: Sequence[Card]) -> str:
    """A planner's own text above the written one; the written one alone where the former is not to be trusted.

    The written text always stands: prices, order and questions are in it.
    """
    own = own.strip()[:_LONGEST]
    if not own or not _is_truthful(own, written, order, cards):
        return written
    return f"{own}\n{written}"


def _is_truthful(own: str, written: str, order: Order, cards: Sequence[Card]) -> bool:
    known = {Decimal(card["price"]) for card in cards if card["price"] is not None}
    known |= {number for line in order.lines for number in (line.price, line.amount) if number is not None}
    known.add(order.total)
    if _PERCENT.search(own) or (_SUBMITTED.search(own) and not _SUBMITTED.search(written)):
        return False
    return all(_amount(found[0]) in known for found in _NUMBER.finditer(own) if _is_money(own, found))


def _is_money(text: str, number: re.Match[str]) -> bool:
    """Whether a currency stands before or behind the number."""
    before = _SIGN_BEFORE.search(text, max(0, number.start() - _LONGEST_SIGN), number.start())
    return before is not None or _WORD_BEHIND.match(text, number.end()) is not None


def _amount(text: str) -> Decimal | None:
    """`1,234.50`, `1.234,50`, `12.5`: the last separator before one or two digits is the decimal point."""
    digits = text.rstrip(".,")
    match = re.fullmatch(r"(?P<whole>\d[\d.,]*?)(?:[.,](?P<cents>\d{1,2}))?", digits)
    if match is None:
        return None
    return Decimal(re.sub(r"[.,]", "", match["whole"]) + "." + (match["cents"] or "0"))
