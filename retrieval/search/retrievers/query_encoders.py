"""Query texts to dense and sparse vectors, off the event loop, with the newest ones kept: buyers type the same words all day."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from retrieval.encoders.port import SparseEncoder, SparseVector
from retrieval.search.retrievers.encoding_queue import EncodingQueue
from retrieval.vectors.port import Vector
from runtime.bounded_cache import BoundedCache


class QueryVectors:
    """Encodes through a queue and keeps the most recently used vectors, of `max_bytes` with their texts."""

    def __init__(self, queue: EncodingQueue, *, max_bytes: int) -> None:
        self._queue = queue
        self._kept: BoundedCache[str, Vector] = BoundedCache("query_vectors", max_bytes=max_bytes)

    async def mean_vector(self, texts: Sequence[str]) -> Vector:
        """The normalised mean of the texts' vectors; of one text, its vector. At least one text.

        The mean of unit vectors ranks by the mean of their similarities, in one search of the store instead of several.
        """
        vectors = await self.vectors(texts)
        if len(vectors) == 1:
            return vectors[0]
        mean: Vector = np.mean(vectors, axis=0, dtype=np.float32)
        return mean / max(float(np.linalg.norm(mean)), 1e-12)

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of queries, float32 [dimension], L2-normalised; those not kept are encoded."""
        # Taken before the wait, during which others may push them out.
        known = {text: vector for text in dict.fromkeys(texts) if (vector := self._kept.get(text)) is not None}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            for text, vector in zip(missing, await self._queue.vectors(missing), strict=True):
                known[text] = vector
                self._kept.put(text, vector)
        return [known[text] for text in texts]


class SparseQueryEncoder:
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
