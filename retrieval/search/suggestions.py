"""As-you-type suggestions: the last word completed from the tenant's own vocabulary. Blocking, a few milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from retrieval.analysis.folding import LONGEST_QUERY, fold
from retrieval.analysis.pipeline import analyse
from retrieval.filters import CatalogueFilter
from retrieval.text.port import TextIndexReader
from schemas.identity import TenantId

_LOOKED_AT: Final = 40
"""Completions that are checked against the words before them."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The typed text with its last word completed, and how many products it may stand for."""

    text: str
    products: int


def suggest(reader: TextIndexReader, tenant: TenantId, typed: str, *, limit: int) -> list[Completion]:
    """Completions of the last word that occur together with the words before it, the most frequent first.

    Nothing for a text that is empty or ends with a blank: the word that follows is anybody's guess.
    """
    folded = fold(typed, LONGEST_QUERY)
    if not folded or typed[-1].isspace():
        return []
    before, _, start = folded.rpartition(" ")
    found = reader.vocabulary(tenant, start, limit=_LOOKED_AT)
    if not before:
        return [Completion(word, count) for word, count in found[:limit]]
    catalogue_filter = CatalogueFilter(tenant)
    together = []
    for word, _ in found:
        text = f"{before} {word}"
        words = {token.position: token for token in reversed(analyse(text).tokens)}
        count = reader.count_with(list(words.values()), catalogue_filter=catalogue_filter)
        if count:
            together.append(Completion(text, count))
    return sorted(together, key=lambda one: (-one.products, one.text))[:limit]
