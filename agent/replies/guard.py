"""The last look at a model's own words: no price, total or discount of its making reaches a person."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from agent.conversation.state import Card
from agent.orders.model import Order

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
