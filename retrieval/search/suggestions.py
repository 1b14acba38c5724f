"""Suggestions: a typed word completed from the tenant's own vocabulary, and products like a given one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from retrieval.analysis.folding import LONGEST_QUERY, fold
from retrieval.analysis.pipeline import analyse
from retrieval.filters import CatalogueFilter
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorHit, VectorIndex
from retrieval.vectors.spaces import TEXT_VECTOR
from schemas.identity import SkuKey, TenantId

_LOOKED_AT: Final = 40
"""Completions that are checked against the words before them."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The typed text with its last word completed, and how many products it may stand for."""

    text: str
    products: int


def suggest(reader: TextIndexReader, tenant: TenantId, typed: str, *, limit: int) -> list[Completion]:
    """Completions of the last word that occur together with the words before it, the most frequent first. Blocking, milliseconds.

    Nothing for a text that is empty or ends with a blank: the word that follows is anybody's guess.
    """
    folded = fold(typed, LONGEST_QUERY)
    if not folded or typed[-1].isspace():
        return []
    before, _, start = folded.rpartition(" ")
    found = reader.vocabulary(tenant, start, limit=_LOOKED_AT)
    if not before:
        return [Completion(word, count) for word, count in found[:limit]]
    within = CatalogueFilter(tenant)
    together = []
    for word, _ in found:
        text = f"{before} {word}"
        words = {token.position: token for token in reversed(analyse(text).tokens)}
        count = reader.count_with(list(words.values()), within=within)
        if count:
            together.append(Completion(text, count))
    return sorted(together, key=lambda one: (-one.products, one.text))[:limit]


_SPARE: Final = 10
"""Neighbours beyond what is asked for: the product itself, and some that the replica no longer knows."""


async def neighbours(vectors: VectorIndex, key: SkuKey, within: CatalogueFilter, *, limit: int) -> list[VectorHit]:
    """Up to `limit` and a few spare products nearest to this one, without it; none where it has no vector.

    Raises:
        StoreUnavailableError: the vector store did not answer.
    """
    vector = (await vectors.vectors([key], using=TEXT_VECTOR)).get(key)
    if vector is None:
        return []
    found = await vectors.search(vector, using=TEXT_VECTOR, within=within, limit=limit + _SPARE)
    return [hit for hit in found if hit.key != key]
