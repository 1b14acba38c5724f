"""A small deterministic scheduler: every call of a port waits for its turn, before and after its effect, and a seeded
choice says whose turn it is. One seed is one interleaving.
"""

import asyncio
import random
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any

from indexer.ports import DocumentPublisher, Published
from retrieval.vectors.port import PointPayload, PointWrite, VectorIndex
from schemas.documents import SearchDocument
from schemas.identity import SkuKey

_HOPS = 12
"""Rounds of the event loop after which every task has come to its next turn."""


class Schedule:
    """Runs tasks one turn at a time. `crash_after` ends a named task at its n-th turn, as a killed process ends."""

    def __init__(self, seed: int, crash_after: Mapping[str, int] | None = None) -> None:
        self._rng = random.Random(seed)
        self._crash_after = dict(crash_after or {})
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self.turns: dict[str, int] = {}

    async def turn(self, name: str) -> None:
        """Wait until it is this task's turn."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((name, future))
        await future

    async def run(self, work: Mapping[str, Coroutine[Any, Any, Any]]) -> dict[str, Any]:
        """Run named tasks to their ends; returns each one's result or exception (CancelledError for a crashed one)."""
        self._tasks = {name: asyncio.create_task(coroutine) for name, coroutine in work.items()}
        while not all(task.done() for task in self._tasks.values()):
            for _ in range(_HOPS):
                await asyncio.sleep(0)
            if not self._waiting:
                continue
            name, future = self._waiting.pop(self._rng.randrange(len(self._waiting)))
            self.turns[name] = self.turns.get(name, 0) + 1
            if self._crash_after.get(name) == self.turns[name]:
                self._tasks[name].cancel()
            elif not future.done():
                future.set_result(None)
        results = await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        return dict(zip(self._tasks, results, strict=True))


class ScheduledIndex:
    """A vector index whose every call takes two turns: one before its effect, one before the caller hears of it."""

    def __init__(self, index: VectorIndex, schedule: Schedule, name: str) -> None:
        self._index = index
        self._schedule = schedule
        self._name = name

    async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
        await self._schedule.turn(self._name)
        result = await self._index.read(keys)
        await self._schedule.turn(self._name)
        return result

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        # The guard is per point: another writer can come between two points of one request.
        refused: set[SkuKey] = set()
        for write in writes:
            await self._schedule.turn(self._name)
            refused |= await self._index.write([write])
        await self._schedule.turn(self._name)
        return frozenset(refused)

    async def revisions(self, keys: Collection[SkuKey]) -> dict[SkuKey, int]:
        await self._schedule.turn(self._name)
        result = await self._index.revisions(list(keys))
        await self._schedule.turn(self._name)
        return result


class ScheduledPublisher:
    """A documents topic whose every append takes two turns, and where a batch can be cut in half by a crash."""

    def __init__(self, publisher: DocumentPublisher, schedule: Schedule, name: str) -> None:
        self._publisher = publisher
        self._schedule = schedule
        self._name = name

    async def publish(self, documents: Sequence[SearchDocument]) -> Published:
        for document in documents:
            await self._schedule.turn(self._name)
            await self._publisher.publish([document])
        await self._schedule.turn(self._name)
        return Published()
