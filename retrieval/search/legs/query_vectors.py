"""Query texts to vectors, off the event loop, with the newest ones kept: buyers type the same words all day."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retrieval.search.legs.encoding_queue import EncodingQueue
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
