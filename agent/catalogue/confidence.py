"""Whether the shop has what was searched for at all: better to say no than to sell a hammer as a fridge.

Two witnesses: how much of the request the best hit holds in so many words, and how near its meaning is. A request whose
words no title holds may still be right (another language, a nickname), but then its vector has to be near, or both the
text index (through its aliases) and the vectors have to agree on the same product.

Search has an opinion of its own (`low_confidence`: no product has all the words, and none is near). Where it doubts, only
words count: something near in meaning is then what every request has, a neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent.ports import FoundProduct
from agent.resolve.matching import coverage, slots, terms

TOP: Final = 5
WELL_COVERED: Final = 0.6
"""Share of the request's words in the best title from which words alone are enough."""
SOMEWHAT_COVERED: Final = 0.34
NEAR: Final = 0.865
"""Cosine of the query's and the product's vectors (E5) from which meaning alone is enough."""
RATHER_NEAR: Final = 0.845


def is_confident(text: str, found: Sequence[FoundProduct], *, doubted: bool = False) -> bool:
    """Whether any of the best hits is what was asked for. `doubted`: search itself doubts that the shop has it."""
    request = slots(text)
    if not found:
        return False
    if not request:
        return True
    for hit in found[:TOP]:
        if "code" in hit.signals:
            return True
        share = coverage(request, terms(hit.product.title, hit.product.brand, hit.product.category, hit.product.sku))
        near = 0.0 if doubted else hit.signals.get("dense", 0.0)
        if share >= WELL_COVERED or near >= NEAR or (share >= SOMEWHAT_COVERED and near >= RATHER_NEAR):
            return True
    return False
