"""One ingest run: rows to events to batches, a few batches on their way at once, progress noted in the file's order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from deploy.ingest.convert import Rejected, RowConverter
from deploy.ingest.resume import Checkpoint
from deploy.ingest.rows import RowSource
from deploy.ingest.targets import ChangeTarget, EncodedChange

BATCH_ROWS: Final = 100
BATCHES_IN_FLIGHT: Final = 4


@dataclass(slots=True)
class IngestReport:
    """What a run did. `rows` counts rows of this run; `skipped` those that an earlier, interrupted run had done."""

    rows: int = 0
    changes: int = 0
    rejected: int = 0
    skipped: int = 0
    fraction: float = 0.0
    """Of the file, 0 to 1: up to the last acknowledged batch."""
    products_by_tenant: dict[str, int] = field(default_factory=dict)
    rejections: list[Rejected] = field(default_factory=list)
    """The first few, for the summary."""


@dataclass(frozen=True, slots=True)
class _Batch:
    rows: int
    changes: tuple[EncodedChange, ...]
    rejected: tuple[Rejected, ...]
    tenants: tuple[str, ...]
    fraction: float


@dataclass(slots=True)
class IngestRun:
    """Sends a file. `on_progress` is called after every acknowledged batch, `on_reject` for every bad row, in order."""

    source: RowSource
    converter: RowConverter
    target: ChangeTarget
    checkpoint: Checkpoint
    on_progress: Callable[[IngestReport], None] = lambda _: None
    on_reject: Callable[[Rejected], None] = lambda _: None
    batch_rows: int = BATCH_ROWS
    in_flight: int = BATCHES_IN_FLIGHT

    async def run(self, *, samples: int = 5) -> IngestReport:
        """Send everything that is not sent yet; `samples` rejections are kept in the report.

        Stopped in between, by an error or by the user, it leaves its position behind; run again, it goes on there.

        Raises:
            FerrofluxError: the file is not readable, or the target does not take the changes.
        """
        report = IngestReport(skipped=self.checkpoint.state.rows_done)
        rejected_before = self.checkpoint.state.rows_rejected
        batches = self._batches(report.skipped)
        underway: deque[tuple[_Batch, asyncio.Task[None]]] = deque()
        try:
            while True:
                # Reading and converting run in a thread: a slow disk or a wide row must not hold up acknowledgements.
                batch = await asyncio.to_thread(next, batches, None)
                if batch is not None:
                    underway.append((batch, asyncio.create_task(self._deliver(batch))))
                while underway and (batch is None or len(underway) >= self.in_flight):
                    done, task = underway.popleft()
                    await task
                    self._count(report, done, samples)
                    self.checkpoint.advance(report.skipped + report.rows, rejected_before + report.rejected)
                    self.on_progress(report)
                if batch is None:
                    break
        finally:
            await _abandon([task for _, task in underway])
            self.checkpoint.advance(report.skipped + report.rows, rejected_before + report.rejected, now=True)
        self.checkpoint.finish()
        return report

    async def _deliver(self, batch: _Batch) -> None:
        if batch.changes:
            await self.target.send(batch.changes)

    def _count(self, report: IngestReport, batch: _Batch, samples: int) -> None:
        report.rows += batch.rows
        report.fraction = batch.fraction
        report.changes += len(batch.changes)
        report.rejected += len(batch.rejected)
        for tenant in batch.tenants:
            report.products_by_tenant[tenant] = report.products_by_tenant.get(tenant, 0) + 1
        report.rejections.extend(batch.rejected[: max(0, samples - len(report.rejections))])
        for rejected in batch.rejected:
            self.on_reject(rejected)

    def _batches(self, skip: int) -> Iterator[_Batch]:
        numbered = itertools.islice(enumerate(self.source), skip, None)
        while chunk := list(itertools.islice(numbered, self.batch_rows)):
            changes: list[EncodedChange] = []
            rejected: list[Rejected] = []
            tenants: list[str] = []
            for number, row in chunk:
                converted = self.converter.convert(row, number)
                if isinstance(converted, Rejected):
                    rejected.append(converted)
                else:
                    changes.extend(converted.changes)
                    tenants.append(converted.tenant)
            yield _Batch(len(chunk), tuple(changes), tuple(rejected), tuple(tenants), self.source.fraction)


async def _abandon(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        # Their outcome no longer counts: the run is already failing, and they are sent again when it goes on.
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
