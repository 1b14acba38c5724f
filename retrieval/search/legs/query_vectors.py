"""Query texts to vectors, off the event loop, with the newest ones kept: buyers type the same words all day."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from retrieval.search.legs.encoding_queue import EncodingQueue
from retrieval.vectors.port import Vector


class QueryVectors:
    """Encodes through a queue and keeps the `capacity` most recently used vectors. Used from one event loop."""

    def __init__(self, queue: EncodingQueue, *, capacity: int) -> None:
        self._queue = queue
        self._capacity = capacity
        self._kept: OrderedDict[str, Vector] = OrderedDict()

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
        known = {text: self._kept[text] for text in texts if text in self._kept}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            known.update(zip(missing, await self._queue.vectors(missing), strict=True))
        for text, vector in known.items():
            self._keep(text, vector)
        return [known[text] for text in texts]

    def _keep(self, text: str, vector: Vector) -> None:
        if not self._capacity:
            return
        self._kept[text] = vector
        self._kept.move_to_end(text)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
