"""Texts that wait for the encoder, taken together: batches form by themselves while an inference runs.

A text never waits for company: where the encoder is free, it is encoded alone and at once. Where it is busy, all that
came meanwhile go together, which costs less than one after the other. A text that nobody waits for any more (its search
gave up at its deadline) is not encoded: under overload the encoder works only on answers that can still be given.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from retrieval.encoders.port import Matrix
from retrieval.vectors.port import Vector


@dataclass(slots=True, eq=False)
class _Waiting:
    text: str
    vector: asyncio.Future[Vector]
    waiters: int = 0


class EncodingQueue:
    """Feeds `encode`, which blocks, on an executor: `at_once` calls side by side, each of at most `batch` texts.

    Used from one event loop. Searches that ask for the same text at the same time share one inference.
    """

    def __init__(
        self, encode: Callable[[Sequence[str]], Matrix], executor: Executor, *, at_once: int = 1, batch: int = 16
    ) -> None:
        self._encode = encode
        self._executor = executor
        self._batch = batch
        self._asked: dict[str, _Waiting] = {}
        """What is queued or being encoded, by text."""
        self._queue: deque[_Waiting] = deque()
        self._free = at_once
        self._runs: set[asyncio.Task[None]] = set()

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of these texts, float32 [dimension], read-only; what the encoder raises is raised here."""
        entries = [self._ask(text) for text in texts]
        try:
            # Shielded: one search that gives up must not take the vector from another that waits for the same text.
            return [await asyncio.shield(entry.vector) for entry in entries]
        finally:
            for entry in entries:
                entry.waiters -= 1

    def _ask(self, text: str) -> _Waiting:
        entry = self._asked.get(text)
        if entry is None:
            entry = self._asked[text] = _Waiting(text, asyncio.get_running_loop().create_future())
            self._queue.append(entry)
            if self._free:
                self._free -= 1
                task = asyncio.create_task(self._run(), name="encode-queries")
                self._runs.add(task)
                task.add_done_callback(self._runs.discard)
        entry.waiters += 1
        return entry

    async def _run(self) -> None:
        """Encode until the queue is empty; no wait lies between seeing that and being free again."""
        try:
            while batch := self._next_batch():
                await self._encode_batch(batch)
        finally:
            self._free += 1

    async def _encode_batch(self, batch: Sequence[_Waiting]) -> None:
        texts = [entry.text for entry in batch]
        try:
            matrix = await asyncio.get_running_loop().run_in_executor(self._executor, self._encode, texts)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            for entry in batch:
                entry.vector.set_exception(error)
                entry.vector.exception()  # seen, even where nobody waits any more
        else:
            for entry, row in zip(batch, matrix, strict=True):
                # A copy of the row: a view would keep the encoder's whole output buffer alive and writable.
                vector: Vector = row.copy()
                vector.flags.writeable = False
                entry.vector.set_result(vector)
        finally:
            for entry in batch:
                self._asked.pop(entry.text, None)
                if not entry.vector.done():  # the threads ended under it
                    entry.vector.cancel()

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._queue and len(batch) < self._batch:
            entry = self._queue.popleft()
            if entry.waiters:
                batch.append(entry)
            else:
                self._asked.pop(entry.text, None)
                entry.vector.cancel()
        return batch
