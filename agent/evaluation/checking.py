"""One expectation against one reply, key by key. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import permutations
from typing import Any, Final

from agent.evaluation.fixtures import Expectation, ExpectedLine, PickedCard
from schemas.api.chat import TurnReply

CARDS_LOOKED_AT: Final = 5


@dataclass(frozen=True, slots=True)
class Observed:
    """A conversation after a turn: its replies so far, the last of them this turn's, and the order before the turn."""

    replies: Sequence[TurnReply]
    before: Mapping[str, Decimal]

    @property
    def reply(self) -> TurnReply:
        """This turn's reply."""
        return self.replies[-1]

    @property
    def order(self) -> dict[str, Decimal]:
        """The open order: SKU to quantity."""
        return quantities(self.reply)

    @property
    def cards(self) -> list[str]:
        """SKUs of the first cards, and those that this turn added to the order."""
        shown = [card.sku for card in self.reply.cards[:CARDS_LOOKED_AT]]
        return shown + [sku for sku, quantity in self.order.items() if quantity > self.before.get(sku, Decimal(0))]


def quantities(reply: TurnReply) -> dict[str, Decimal]:
    """The open order of a reply."""
    return {line.sku: line.quantity for line in reply.order.lines} if reply.order.status != "submitted" else {}


def failed_keys(expected: Expectation, observed: Observed) -> dict[str, str]:
    """The keys that do not hold, each with what was seen instead."""
    failed = {}
    for key, wanted in expected.model_dump(exclude_none=True).items():
        value = getattr(expected, key)
        if not _CHECKS[key](value, observed):
            failed[key] = f"expected {wanted}, saw {_seen(key, observed)}"
    return failed


def _order_is(wanted: Mapping[str, float], observed: Observed) -> bool:
    return {sku: float(quantity) for sku, quantity in observed.order.items()} == dict(wanted)


def _order_is_one_of(alternatives: Sequence[Sequence[ExpectedLine]], observed: Observed) -> bool:
    return any(_pairs(lines, observed.order) for lines in alternatives)


def _pairs(wanted: Sequence[ExpectedLine], order: Mapping[str, Decimal]) -> bool:
    """Whether the lines pair one to one."""
    if len(wanted) != len(order):
        return False
    return any(
        all(sku in line.sku_in and float(order[sku]) == line.qty for line, sku in zip(wanted, skus, strict=True))
        for skus in permutations(order)
    )


def _picks(wanted: PickedCard, observed: Observed) -> bool:
    if len(observed.replies) < wanted.turn:
        return False
    cards = observed.replies[wanted.turn - 1].cards
    if len(cards) < wanted.rank:
        return False
    return float(observed.order.get(cards[wanted.rank - 1].sku, -1)) == wanted.qty


def _has_no_results(wanted: bool, observed: Observed) -> bool:
    reply = observed.reply
    flagged = reply.metadata.no_results or (bool(reply.cards) and all(card.weak for card in reply.cards))
    return flagged is wanted


_CHECKS: Final[Mapping[str, Callable[[Any, Observed], bool]]] = {
    "cards_any_of": lambda wanted, observed: bool(set(wanted) & set(observed.cards)),
    "order": _order_is,
    "order_any_of": _order_is_one_of,
    "order_empty": lambda wanted, observed: (not observed.order) is wanted,
    "picks_card": _picks,
    "submitted": lambda wanted, observed: bool(observed.reply.submitted) is wanted,
    "asks_back": lambda wanted, observed: observed.reply.metadata.asks_back is wanted,
    "no_results": _has_no_results,
    "llm_bypassed": lambda wanted, observed: observed.reply.metadata.llm_bypassed is wanted,
    "reply_mentions": lambda wanted, observed: all(re.search(each, observed.reply.text) for each in wanted),
    "reply_forbidden": lambda wanted, observed: not any(re.search(each, observed.reply.text) for each in wanted),
}


def _seen(key: str, observed: Observed) -> str:
    if key.startswith("order") or key == "picks_card":
        return str({sku: float(quantity) for sku, quantity in observed.order.items()})
    if key == "cards_any_of":
        return str(observed.cards)
    if key == "submitted":
        return str(list(observed.reply.submitted))
    if key.startswith("reply"):
        return repr(observed.reply.text[:200])
    metadata = observed.reply.metadata
    return str(getattr(metadata, key))
