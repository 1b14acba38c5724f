"""How far a record has come: journalled, applied, readable; and waiting for it from another thread.

The indexer lives on a thread and event loop of its own, and the replica's commits on a third. They tell their progress
through the journal and the writer that they are given anyway (`WatchedJournal`, `WatchedWriter`); whoever answers a
producer waits here for the offset of the producer's record, and a drain for the ends that the topics have now (`LogEnds`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aiokafka import TopicPartition as KafkaPartition

from ferroflux.embedded.broker import PARTITIONS
from indexer.ports import ChangeJournal
from indexer.records import InboundRecord, LogId, TopicPartition, next_offsets
from retrieval.text.apart.ledger import SetApart
from retrieval.text.apart.values import NO_NOTES, LogNotes
from retrieval.text.port import Applied, Checkpoint, TextIndexWriter
from runtime.kafka.clients import open_consumer, stopped
from schemas.documents import SearchDocument
from schemas.errors import FerrofluxError
from schemas.identity import SkuKey
from schemas.topics import KafkaSettings


class RecordStage(Enum):
    """How far a record can be."""

    JOURNALLED = "journalled"
    """It is on disk: no crash can lose it."""
    APPLIED = "applied"
    """It is in the vector index, and its document is in the log."""
    READABLE = "readable"
    """The document is committed in the text replica."""


@dataclass(eq=False, slots=True)
class _Waiter:
    stage: RecordStage
    targets: dict[TopicPartition, int]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


@dataclass(slots=True)
class LogProgress:
    """Next offsets by stage and partition; thread-safe, with waiting from any event loop."""

    _offsets: dict[RecordStage, dict[TopicPartition, int]] = field(
        default_factory=lambda: {stage: {} for stage in RecordStage}
    )
    # In the order in which they came: who waited first is served first.
    _waiters: dict[_Waiter, None] = field(default_factory=dict)
    _failure: FerrofluxError | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def advance(self, stage: RecordStage, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Note progress and wake whoever waited for it; an offset below the one known changes nothing."""
        with self._guard:
            known = self._offsets[stage]
            for partition, offset in next_offsets.items():
                known[partition] = max(offset, known.get(partition, 0))
            served = [waiter for waiter in self._waiters if waiter.stage is stage and self._met(waiter)]
            for waiter in served:
                del self._waiters[waiter]
        for waiter in served:
            waiter.loop.call_soon_threadsafe(_settle, waiter.future, None)

    def fail(self, error: FerrofluxError) -> None:
        """The indexer ended: nobody will be served any more, and everybody who waits or will wait hears why."""
        with self._guard:
            self._failure = error
            waiting, self._waiters = list(self._waiters), {}
        for waiter in waiting:
            waiter.loop.call_soon_threadsafe(_settle, waiter.future, error)

    def position(self, stage: RecordStage, partition: TopicPartition) -> int:
        """The next offset of a partition; 0 before the first record."""
        with self._guard:
            return self._offsets[stage].get(partition, 0)

    async def reached(self, stage: RecordStage, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Return when every partition is at its offset or beyond.

        Raises:
            FerrofluxError: the indexer ended; its reason.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(stage, dict(next_offsets), loop, loop.create_future())
        with self._guard:
            if self._failure is not None:
                raise self._failure
            if self._met(waiter):
                return
            self._waiters[waiter] = None
        try:
            await waiter.future
        finally:
            with self._guard:
                self._waiters.pop(waiter, None)

    def _met(self, waiter: _Waiter) -> bool:
        known = self._offsets[waiter.stage]
        return all(known.get(partition, 0) >= offset for partition, offset in waiter.targets.items())


def _settle(future: asyncio.Future[None], error: FerrofluxError | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


class WatchedJournal:
    """A `ChangeJournal` that tells its progress: the one that the embedded indexer is given."""

    def __init__(self, journal: ChangeJournal, progress: LogProgress) -> None:
        self._journal = journal
        self._progress = progress

    async def append(self, log_id: LogId, records: Sequence[InboundRecord]) -> Sequence[InboundRecord]:
        """Keep the records, then say so."""
        kept = await self._journal.append(log_id, records)
        self._progress.advance(RecordStage.JOURNALLED, next_offsets(records))
        return kept

    async def mark_applied(self, log_id: LogId, watermarks: Mapping[TopicPartition, int]) -> None:
        """Note the watermarks, then say so."""
        await self._journal.mark_applied(log_id, watermarks)
        self._progress.advance(RecordStage.APPLIED, watermarks)


class WatchedWriter:
    """A `TextIndexWriter` that tells its progress: the one that the embedded tailer is given."""

    def __init__(self, writer: TextIndexWriter, topic: str, progress: LogProgress, *, former_log: str = "") -> None:
        """`former_log` is the log of the checkpoint that this system began with: its offsets say nothing of the new log."""
        self._writer = writer
        self._topic = topic
        self._progress = progress
        self._former_log = former_log

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint of the last commit."""
        return self._writer.checkpoint()

    def set_apart(self) -> SetApart:
        """What is set apart as of the last commit."""
        return self._writer.set_apart()

    def to_try_again(self, limit: int) -> list[SearchDocument]:
        """Products that may be whole with another analyser."""
        return self._writer.to_try_again(limit)

    def apply(
        self,
        documents: Sequence[SearchDocument],
        checkpoint: Checkpoint,
        *,
        removed: Collection[SkuKey] = (),
        notes: LogNotes = NO_NOTES,
    ) -> Applied:
        """Commit, then say so."""
        applied = self._writer.apply(documents, checkpoint, removed=removed, notes=notes)
        # Before the new log is read, letters and texts of the former one are settled under its checkpoint.
        if not self._former_log or checkpoint.log_id != self._former_log:
            self._progress.advance(
                RecordStage.READABLE,
                {(self._topic, partition): offset for partition, offset in checkpoint.offsets.items()},
            )
        return applied

    def close(self) -> None:
        """Let go of the directory."""
        self._writer.close()


class LogEnds:
    """Asks the broker for the ends of topics. Bound to the event loop that opens it."""

    def __init__(self, address: str, topics: Iterable[str]) -> None:
        self._address = address
        self._partitions = [KafkaPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        self._consumer: Any = None

    async def open(self) -> None:
        """Connect; a consumer without a group and without an assignment."""
        self._consumer = await open_consumer(KafkaSettings(bootstrap=self._address), isolation_level="read_uncommitted")

    async def close(self) -> None:
        """Disconnect."""
        await stopped(self._consumer)

    async def now(self) -> dict[TopicPartition, int]:
        """The next offset of every partition that holds, or held, a record."""
        ends = await self._consumer.end_offsets(self._partitions)
        return {(place.topic, place.partition): end for place, end in ends.items() if end > 0}

    async def reached(self, progress: LogProgress, stage: RecordStage) -> None:
        """Return when everything that is in the topics now has come to this stage."""
        await progress.reached(stage, await self.now())
