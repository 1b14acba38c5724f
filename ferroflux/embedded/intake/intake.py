"""The way of a change from a request into the log: sent within the budget, answered when it is in the journal.

The embedded broker drops the oldest records of a partition beyond 5 MB, consumed or not. So a record is sent only when
its partition's unjournalled bytes stay below a budget well under that, and a producer that is faster waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from aiokafka.partitioner import DefaultPartitioner

from ferroflux.embedded.broker import PARTITION_CAP_BYTES, PARTITIONS
from ferroflux.embedded.intake.progress import LogProgress, RecordStage
from indexer.records import TopicPartition
from runtime.kafka.log_writer import LogWriter, OutboundRecord
from schemas.errors import NotReadyError
from schemas.topics import TopicNames

_CHUNK_RECORDS: Final = 256
_PARTITIONS: Final = list(range(PARTITIONS))
_ANSWER_WITHIN_S: Final = 60.0


PARTITION_BUDGET_BYTES: Final = PARTITION_CAP_BYTES * 2 // 5
"""2 MB: the other 3 MB are left to producers that speak to the broker directly, whom nobody can hold back."""

RECORD_OVERHEAD_BYTES: Final = 96
"""Counted for each record beside key and value: its share of the batch header, timestamp, offset, headers."""


@dataclass(slots=True)
class PartitionBudget:
    """Bytes in flight by partition. For one event loop."""

    limit: int = PARTITION_BUDGET_BYTES
    _used: Counter[int] = field(default_factory=Counter)
    _freed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def used(self, partition: int) -> int:
        """Bytes in flight in one partition."""
        return self._used[partition]

    async def acquire(self, partition: int, size: int) -> None:
        """Wait until `size` more bytes fit; a record larger than the whole budget goes alone."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._fits(partition, size))
            self._used[partition] += size

    async def release(self, partition: int, size: int) -> None:
        """Give bytes back."""
        async with self._freed:
            self._used[partition] -= size
            self._freed.notify_all()

    def _fits(self, partition: int, size: int) -> bool:
        used = self._used[partition]
        return used == 0 or used + size <= self.limit


class Lane(StrEnum):
    """Which of the log's two topics a change goes to."""

    LIVE = "live"
    """What just happened: indexed first."""
    BULK = "bulk"
    """A load of many: indexed when no live change waits."""


@dataclass(frozen=True, slots=True)
class OutboundChange:
    """One change event as it goes to the log: the record key `tenant/sku` and the canonical JSON."""

    key: bytes
    value: bytes

    @property
    def size(self) -> int:
        """What it costs of the budget."""
        return len(self.key) + len(self.value) + RECORD_OVERHEAD_BYTES


class ChangeIntake:
    """Takes changes for the embedded log. Runs on the event loop of its writer."""

    def __init__(
        self,
        writer: LogWriter,
        topics: TopicNames,
        progress: LogProgress,
        until_searchable: Callable[[], Awaitable[None]],
    ) -> None:
        self._writer = writer
        self._topics = {Lane.LIVE: topics.changes[0], Lane.BULK: topics.bulk}
        self._progress = progress
        self._until_searchable = until_searchable
        self._budgets = {lane: PartitionBudget() for lane in Lane}
        self._partition_of = DefaultPartitioner()
        self._open = True
        self._taking = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def take(
        self, changes: Sequence[OutboundChange], *, until_indexed: bool = False, lane: Lane = Lane.LIVE
    ) -> None:
        """Log the changes in order; return when they are in the journal, or when a search finds them.

        When it raises, none or some of them may have been taken; taking them again changes nothing.

        Raises:
            NotReadyError: the system is stopping, or did not take them within a minute.
            LogUnavailableError: the embedded broker did not confirm them all.
            PoisonError: it never takes one of them.
            FerrofluxError: the indexer ended; its reason.
        """
        if not self._open:
            msg = "the system is stopping and takes no changes; send them again when it is back"
            raise NotReadyError(msg)
        self._taking += 1
        self._idle.clear()
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                ends: dict[TopicPartition, int] = {}
                for start in range(0, len(changes), _CHUNK_RECORDS):
                    ends |= await self._log(lane, changes[start : start + _CHUNK_RECORDS])
                if until_indexed:
                    await self._progress.reached(RecordStage.APPLIED, ends)
                    await self._until_searchable()
        except TimeoutError as error:
            msg = f"the indexer is too far behind: no answer within {_ANSWER_WITHIN_S:.0f} s; send the changes again"
            raise NotReadyError(msg) from error
        finally:
            self._taking -= 1
            if not self._taking:
                self._idle.set()

    async def close(self) -> None:
        """Take nothing more and let what is being taken finish."""
        self._open = False
        await self._idle.wait()

    async def _log(self, lane: Lane, changes: Sequence[OutboundChange]) -> dict[TopicPartition, int]:
        by_partition: defaultdict[int, list[OutboundChange]] = defaultdict(list)
        for change in changes:
            by_partition[self._partition(change.key)].append(change)
        ends = await asyncio.gather(
            *(self._log_to(lane, partition, group) for partition, group in by_partition.items())
        )
        return {(self._topics[lane], partition): end for partition, end in zip(by_partition, ends, strict=True)}

    async def _log_to(self, lane: Lane, partition: int, changes: Sequence[OutboundChange]) -> int:
        end = 0
        for group in within_bytes(changes, PARTITION_BUDGET_BYTES // 4):
            end = await self._log_group(lane, partition, group)
        return end

    async def _log_group(self, lane: Lane, partition: int, group: Sequence[OutboundChange]) -> int:
        # The budget is taken for the whole group at once: whoever held a part while waiting for the rest could wait
        # for others that do the same.
        size, topic, budget = sum(change.size for change in group), self._topics[lane], self._budgets[lane]
        await budget.acquire(partition, size)
        try:
            records = [OutboundRecord(change.key, change.value, []) for change in group]
            end = await self._writer.append_to(topic, partition, records)
            await self._progress.reached(RecordStage.JOURNALLED, {(topic, partition): end})
        finally:
            await asyncio.shield(budget.release(partition, size))
        return end

    def _partition(self, key: bytes) -> int:
        # The same hash as Java's and aiokafka's clients use, so that a SKU has one partition whoever sends it.
        partition: int = self._partition_of(key, _PARTITIONS, _PARTITIONS)
        return partition


def within_bytes(changes: Sequence[OutboundChange], limit: int) -> Iterator[list[OutboundChange]]:
    """Consecutive groups of at most `limit` bytes each, or of one change that is larger by itself."""
    group: list[OutboundChange] = []
    size = 0
    for change in changes:
        if group and size + change.size > limit:
            yield group
            group, size = [], 0
        group.append(change)
        size += change.size
    if group:
        yield group
