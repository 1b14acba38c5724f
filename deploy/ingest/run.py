"""One ingest run: rows to events to batches, a few batches on their way at once, progress noted in the file's order.

A batch is bounded by its rows and by its bytes. A row that the target does not take for what it holds, its size included,
is a rejected row like one that cannot be read.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from deploy.ingest.convert import Converted, Rejected, RowConverter
from deploy.ingest.resume import Checkpoint
from deploy.ingest.rows import RowSource
from deploy.ingest.targets import ChangeTarget
from schemas.api.limits import MAX_CHANGES_BYTES
from schemas.errors import PoisonError

BATCH_ROWS: Final = 100
BATCH_BYTES: Final = MAX_CHANGES_BYTES // 4
"""A quarter of what a request may have: four in flight are then held in 8 MiB, here and by the server."""
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
    rows: tuple[Converted | Rejected, ...]
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
    batch_bytes: int = BATCH_BYTES
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
        underway: deque[tuple[_Batch, asyncio.Task[list[Converted | Rejected]]]] = deque()
        try:
            while True:
                # Reading and converting run in a thread: a slow disk or a wide row must not hold up acknowledgements.
                batch = await asyncio.to_thread(next, batches, None)
                if batch is not None:
                    underway.append((batch, asyncio.create_task(self._deliver(batch))))
                while underway and (batch is None or len(underway) >= self.in_flight):
                    done, task = underway.popleft()
                    self._count(report, await task, done.fraction, samples)
                    self.checkpoint.advance(report.skipped + report.rows, rejected_before + report.rejected)
                    self.on_progress(report)
                if batch is None:
                    break
        finally:
            await _abandon([task for _, task in underway])
            self.checkpoint.advance(report.skipped + report.rows, rejected_before + report.rejected, now=True)
        self.checkpoint.finish()
        return report

    async def _deliver(self, batch: _Batch) -> list[Converted | Rejected]:
        """Send a batch; its rows, and those that the target refuses as rejected ones."""
        changes = [change for row in batch.rows if isinstance(row, Converted) for change in row.changes]
        refusals = iter(await self.target.send_each(changes) if changes else ())
        return [
            row if isinstance(row, Rejected) else _judged(row, [next(refusals) for _ in row.changes])
            for row in batch.rows
        ]

    def _count(self, report: IngestReport, rows: Sequence[Converted | Rejected], fraction: float, samples: int) -> None:
        report.fraction = fraction
        for row in rows:
            report.rows += 1
            if isinstance(row, Converted):
                report.changes += len(row.changes)
                report.products_by_tenant[row.tenant] = report.products_by_tenant.get(row.tenant, 0) + 1
                continue
            report.rejected += 1
            if len(report.rejections) < samples:
                report.rejections.append(row)
            self.on_reject(row)

    def _batches(self, skip: int) -> Iterator[_Batch]:
        rows: list[Converted | Rejected] = []
        size = 0
        for number, row in itertools.islice(enumerate(self.source), skip, None):
            converted = self._accepted(self.converter.convert(row, number))
            more = _size(converted)
            if rows and (len(rows) >= self.batch_rows or size + more > self.batch_bytes):
                yield _Batch(tuple(rows), self.source.fraction)
                rows, size = [], 0
            rows.append(converted)
            size += more
        if rows:
            yield _Batch(tuple(rows), self.source.fraction)

    def _accepted(self, row: Converted | Rejected) -> Converted | Rejected:
        """The row, unless the target takes no change that is so large: then none of the row's changes is sent."""
        most = self.target.largest_change_bytes
        largest = max((len(change.value) for change in row.changes), default=0) if isinstance(row, Converted) else 0
        if isinstance(row, Rejected) or largest <= most:
            return row
        return row.rejected(
            f"the product has {largest} bytes as a change, more than the {most} that are taken: shorten its texts, or leave "
            "columns out with --map field="
        )


def _judged(row: Converted, refusals: Sequence[PoisonError | None]) -> Converted | Rejected:
    refused = [str(refusal) for refusal in refusals if refusal is not None]
    return row.rejected("; ".join(dict.fromkeys(refused))) if refused else row


def _size(row: Converted | Rejected) -> int:
    """What a row holds of memory and, where it is sent, of a request."""
    return len(row.raw) if isinstance(row, Rejected) else sum(len(change.value) + 1 for change in row.changes)


async def _abandon(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        # Their outcome no longer counts: the run is already failing, and they are sent again when it goes on.
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await task
