"""Query texts to vectors, off the event loop, with the newest ones kept: buyers type the same words all day."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Executor

from retrieval.encoders.port import TextEncoder
from retrieval.vectors.port import Vector


class QueryVectors:
    """Encodes on an executor and keeps the `capacity` most recently used vectors. Used from one event loop."""

    def __init__(self, encoder: TextEncoder, executor: Executor, *, capacity: int) -> None:
        self._encoder = encoder
        self._executor = executor
        self._capacity = capacity
        self._kept: OrderedDict[str, Vector] = OrderedDict()

    async def vector(self, text: str) -> Vector:
        """The vector of a query, float32 [dimension], L2-normalised."""
        kept = self._kept.get(text)
        if kept is not None:
            self._kept.move_to_end(text)
            return kept
        loop = asyncio.get_running_loop()
        matrix = await loop.run_in_executor(self._executor, self._encoder.encode_queries, [text])
        # A copy of the row: a view would keep the encoder's whole output buffer alive and writable.
        vector: Vector = matrix[0].copy()
        vector.flags.writeable = False
        if self._capacity:
            self._kept[text] = vector
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return vector
