"""Query texts to sparse vectors, off the event loop, with the newest ones kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from retrieval.encoders.port import SparseEncoder, SparseVector
from runtime.bounded_cache import BoundedCache


class QueryWords:
    """Encodes on an executor and keeps the most recently used texts' vectors, of `max_bytes` with the texts."""

    def __init__(self, encoder: SparseEncoder, executor: Executor, *, max_bytes: int) -> None:
        self._encoder = encoder
        self._executor = executor
        self._kept: BoundedCache[tuple[str, ...], SparseVector] = BoundedCache("query_words", max_bytes=max_bytes)

    async def mean_vector(self, texts: Sequence[str]) -> SparseVector:
        """The mean of the texts' weights; of one text, its weights. At least one text.

        The mean ranks by the mean of the products, in one search of the store instead of several.
        """
        asked = tuple(texts)
        known = self._kept.get(asked)
        if known is None:
            loop = asyncio.get_running_loop()
            known = mean(await loop.run_in_executor(self._executor, self._encoder.encode_queries, list(asked)))
            self._kept.put(asked, known)
        return known


def mean(vectors: Sequence[SparseVector]) -> SparseVector:
    """The mean of sparse vectors, at least one. Pure."""
    if len(vectors) == 1:
        return vectors[0]
    indices = np.unique(np.concatenate([vector.indices for vector in vectors]))
    values = np.zeros(len(indices), np.float32)
    for vector in vectors:
        values[np.searchsorted(indices, vector.indices)] += vector.values
    return SparseVector(indices, values / np.float32(len(vectors)))
