"""A batch and its offsets: nothing is committed that is not done, and what failed is read again after a pause.

This is the part of the consumer that decides; it knows no Kafka library. The FastStream subscriber feeds it, and a
simulation can feed it as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from indexer.batch.batch import BatchReport
from indexer.batch.pipeline import Pipeline
from indexer.consuming.publish_lock import PublishLock
from indexer.metrics import IndexerMetrics
from indexer.ports import ChangeJournal, Lease, LeaseLostError, PartitionControl, Timing
from indexer.readiness import ConsumerHealth
from indexer.records import InboundRecord, LogId, first_offsets, next_offsets
from runtime.isolation import DefectError, DefectLimits
from runtime.retry import BackoffPolicy
from schemas.errors import FatalError, FerrofluxError, NotReadyError, RetryableError

log = structlog.get_logger(__name__)

Divert = Callable[[Sequence[InboundRecord]], Awaitable[Sequence[InboundRecord]]]
"""Moves the records of a batch that belong elsewhere, durably, and returns those to be worked on here."""


@dataclass(frozen=True, slots=True)
class JournalledLog:
    """The journal in which every batch is kept before it is worked on, and the log that its records are of."""

    journal: ChangeJournal
    log_id: LogId


@dataclass(frozen=True, slots=True)
class Observers:
    """What is told of every batch: the health that readiness judges, and the metrics."""

    health: ConsumerHealth
    metrics: IndexerMetrics


class BatchRunner:
    """Runs batches one after the other: journal, pipeline, commit; on a failure rewind, rest and let them come again."""

    def __init__(
        self,
        pipeline: Pipeline,
        control: PartitionControl,
        lock: PublishLock,
        observers: Observers,
        timing: Timing,
        *,
        backoff: BackoffPolicy | None = None,
        journal: JournalledLog | None = None,
        divert: Divert | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._control = control
        self._lock = lock
        self._health = observers.health
        self._metrics = observers.metrics
        self._clock = timing.clock
        self._rng = timing.rng
        self._backoff = backoff or BackoffPolicy()
        self._journal = journal
        self._divert = divert
        self._stopping = asyncio.Event()
        self._fatal: FatalError | None = None
        self._failed = asyncio.Event()

    async def run(self, records: Sequence[InboundRecord]) -> bool:
        """Work one batch to its end; True once it is committed. Never raises: what failed is rewound, counted and shown."""
        self._health.batch_began(self._clock.monotonic())
        try:
            async with self._lock.hold() as lease:
                report = await self._work(records, lease)
        except LeaseLostError as error:
            self._metrics.lease_lost()
            self._health.batch_ended(self._clock.monotonic())
            log.info("batch left to the partitions' new owner", records=len(records), reason=str(error))
        except FatalError as error:
            await self._give_up(records, error)
        except Exception as error:  # noqa: BLE001 - a defect must neither skip the batch nor end the consume loop; it is shown
            if _may_pass(error) or self._health.failures + 1 < _DEFECTS.in_a_row:
                await self._retreat(records, error)
            else:
                await self._give_up(records, DefectError(f"a batch fails again and again, with {error!r}"))
        else:
            self._health.batch_ended(self._clock.monotonic())
            self._metrics.batch(report)
            self._health.set_apart.update(fault.stage for fault in report.apart.values())
            if report.defects:
                self._health.set_apart["parse"] += report.defects
            log.info("batch indexed", **report.log_fields())
            return True
        return False

    def stop(self) -> None:
        """End a rest at once; the batch in progress is finished."""
        self._stopping.set()

    async def failed(self) -> FatalError:
        """Wait for an error that needs the operator; the consumer works on nothing more after it."""
        await self._failed.wait()
        assert self._fatal is not None
        return self._fatal

    async def _work(self, records: Sequence[InboundRecord], lease: Lease) -> BatchReport:
        if self._journal is not None:
            # The journal is the log that counts here: what it says is when it took them, whatever a producer's clock says.
            now_ms = self._clock.now_us() // 1_000
            taken = [replace(record, timestamp_ms=now_ms, by_log=True) for record in records]
            records = await self._journal.journal.append(self._journal.log_id, taken)
        own = records
        if self._divert is not None:
            lease.check()
            own = await self._divert(records)
            self._metrics.diverted(len(records) - len(own))
        report = await self._pipeline.process(own, lease)
        lease.check()
        offsets = next_offsets(records)
        if self._journal is not None:
            await self._journal.journal.mark_applied(self._journal.log_id, offsets)
        await self._control.commit(offsets)
        return report

    async def _give_up(self, records: Sequence[InboundRecord], error: FatalError) -> None:
        """Commit nothing and work on nothing more; the process's owner ends it with the reason."""
        self._control.rewind(first_offsets(records))
        self._health.batch_failed(self._clock.monotonic(), error.code, str(error), resting_s=0.0)
        self._fatal = error
        self._failed.set()
        await self._stopping.wait()

    async def _retreat(self, records: Sequence[InboundRecord], error: Exception) -> None:
        """Rewind to the batch's beginning and rest. The lock is free meanwhile: a revocation does not wait for the rest."""
        self._control.rewind(first_offsets(records))
        failures = self._health.failures + 1
        delay = self._backoff.delay(failures, self._rng)
        code = error.code if isinstance(error, FerrofluxError) else "unexpected"
        self._health.batch_failed(self._clock.monotonic(), code, str(error), resting_s=delay)
        self._metrics.batch_retried(code)
        log.warning(
            "batch failed and is read again",
            records=len(records),
            code=code,
            failures=failures,
            rest_s=round(delay, 3),
            exc_info=None if isinstance(error, FerrofluxError) else error,
            error=str(error),
        )
        try:
            async with asyncio.timeout(delay):
                await self._stopping.wait()
        except TimeoutError:
            return


_DEFECTS: Final = DefectLimits()


def _may_pass(error: Exception) -> bool:
    """Whether the same batch may come through later without anybody's doing."""
    return isinstance(error, (RetryableError, NotReadyError, OSError, MemoryError))
