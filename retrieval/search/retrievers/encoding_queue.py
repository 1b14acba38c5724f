"""Texts that wait for the encoder, taken together: batches form by themselves while an inference runs.

A text never waits for company: where the encoder is free, it is encoded alone and at once. Where it is busy, all that
came meanwhile go together, which costs less than one after the other. A text that nobody waits for any more (its search
gave up at its deadline) is not encoded: under overload the encoder works only on answers that can still be given.

A text that would wait for longer than it may, by what stands before it and what a text took of late, is refused at once: an
answer that is late or lacks its vectors helps less than the word to ask again.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from retrieval.encoders.port import Matrix
from retrieval.vectors.port import Vector
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.errors import OverloadedError

_REMEMBERED: Final = 0.7
"""Share of the earlier batches in the seconds that a text takes; the newest batch has the rest."""


@dataclass(slots=True, eq=False)
class _Waiting:
    text: str
    vector: asyncio.Future[Vector]
    waiters: int = 0


class EncodingQueue:
    """Feeds `encode`, which blocks, on an executor: `at_once` calls side by side, each of at most `batch` texts.

    `within_s` is the longest that a text may wait for its vector. Used from one event loop. Searches that ask for the same text at the same time share one inference.
    """

    def __init__(
        self,
        encode: Callable[[Sequence[str]], Matrix],
        executor: Executor,
        *,
        at_once: int = 1,
        batch: int = 4,
        within_s: float = math.inf,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._encode = encode
        self._executor = executor
        self._batch = batch
        self._at_once = at_once
        self._within_s = within_s
        self._clock = clock
        self._text_s = 0.0
        """What a text took of late, in a batch with others."""
        self._asked: dict[str, _Waiting] = {}
        """What is queued or being encoded, by text."""
        self._queue: deque[_Waiting] = deque()
        self._free = at_once
        self._runs: set[asyncio.Task[None]] = set()

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """The vectors of these texts, float32 [dimension], read-only; what the encoder raises is raised here.

        Raises:
            OverloadedError: they would not come in time, or did not.
        """
        if self.expected_s > self._within_s:
            raise OverloadedError
        entries = [self._ask(text) for text in texts]
        try:
            async with asyncio.timeout(None if self._within_s == math.inf else self._within_s):
                # Shielded: one search that gives up must not take the vector from another that waits for the same text.
                return [await asyncio.shield(entry.vector) for entry in entries]
        except TimeoutError as error:
            raise OverloadedError from error
        finally:
            for entry in entries:
                entry.waiters -= 1

    @property
    def expected_s(self) -> float:
        """How long the texts that wait for the encoder will take it; 0 where it is free."""
        return 0.0 if self._free else len(self._queue) * self._text_s / self._at_once

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
        began = self._clock.monotonic()
        try:
            matrix = await asyncio.get_running_loop().run_in_executor(self._executor, self._encode, texts)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to those who wait
            for entry in batch:
                entry.vector.set_exception(error)
                entry.vector.exception()  # seen, even where nobody waits any more
        else:
            took = (self._clock.monotonic() - began) / len(texts)
            self._text_s = took if not self._text_s else _REMEMBERED * self._text_s + (1 - _REMEMBERED) * took
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
