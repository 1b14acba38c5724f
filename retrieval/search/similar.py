"""Products like a given one: its neighbours in the text vectors, checked against the replica."""

from __future__ import annotations

from typing import Final

from retrieval.filters import CatalogueFilter
from retrieval.vectors.port import TEXT_VECTOR, VectorHit, VectorIndex
from schemas.identity import SkuKey

_SPARE: Final = 10
"""Neighbours beyond what is asked for: the product itself, and some that the replica no longer knows."""


async def neighbours(
    vectors: VectorIndex, key: SkuKey, catalogue_filter: CatalogueFilter, *, limit: int
) -> list[VectorHit]:
    """Up to `limit` and a few spare products nearest to this one, without it; none where it has no vector.

    Raises:
        StoreUnavailableError: the vector store did not answer.
    """
    vector = (await vectors.vectors([key], using=TEXT_VECTOR)).get(key)
    if vector is None:
        return []
    found = await vectors.search(vector, using=TEXT_VECTOR, catalogue_filter=catalogue_filter, limit=limit + _SPARE)
    return [hit for hit in found if hit.key != key]
