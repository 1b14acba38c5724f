"""One ingest run: rows to events to batches, a few batches on their way at once, progress noted in the file's order.

A batch is bounded by its rows and by its bytes. A row that the target does not take for what it holds, its size included,
is a rejected row like one that cannot be read. Before a batch is sent it is looked what its changes meet: the first batch decides
whether the file can win at all and harms nothing, later ones decide row by row.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ferroflux.ingest.convert import Converted, EncodedEvent, Rejected, RowConverter
from ferroflux.ingest.held.gate import Gate
from ferroflux.ingest.held.verdict import Judged, Verdict
from ferroflux.ingest.resume import Checkpoint
from ferroflux.ingest.rows import RowSource
from ferroflux.ingest.targets import ChangeTarget
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
    """Sent, and newer than what was there when it was looked."""
    equal: int = 0
    """Changes that were there already, the very same."""
    older: int = 0
    """Rows of which something was older than what is there; that was left as it is."""
    older_sample: str = ""
    """Why the first of them was."""
    refused: int = 0
    """Of the rejected rows, those whose versions could not win or would have frozen what is there."""
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


@dataclass(frozen=True, slots=True)
class _Settled:
    """What became of one row."""

    row: Converted | Rejected
    changes: int = 0
    equal: int = 0
    older: str = ""
    """Why something of the row was left, where it is older than what is there."""
    refused: bool = False


@dataclass(slots=True)
class IngestRun:
    """Sends a file. `on_progress` is called after every acknowledged batch, `on_reject` for every bad row, in order.

    Without a `gate` nothing is looked at.
    """

    source: RowSource
    converter: RowConverter
    target: ChangeTarget
    checkpoint: Checkpoint
    on_progress: Callable[[IngestReport], None] = lambda _: None
    on_reject: Callable[[Rejected], None] = lambda _: None
    batch_rows: int = BATCH_ROWS
    batch_bytes: int = BATCH_BYTES
    in_flight: int = BATCHES_IN_FLIGHT
    gate: Gate | None = None

    async def run(self, *, samples: int = 5) -> IngestReport:
        """Send everything that is not sent yet; `samples` rejections are kept in the report.

        Stopped in between, by an error or by the user, it leaves its position behind; run again, it goes on there.

        Raises:
            VersionRefusedError: the first changes would freeze what is there, or cannot win; nothing was sent by this run.
            FerrofluxError: the file is not readable, or the target does not take the changes.
        """
        report = IngestReport(skipped=self.checkpoint.state.rows_done)
        rejected_before = self.checkpoint.state.rows_rejected
        batches = self._batches(report.skipped)
        # Reading and converting run in a thread: a slow disk or a wide row must not hold up acknowledgements.
        batch = await asyncio.to_thread(next, batches, None)
        judged, looked = await self._opening(batch)
        underway: deque[tuple[_Batch, asyncio.Task[list[_Settled]]]] = deque()
        try:
            while True:
                if batch is not None:
                    underway.append((batch, asyncio.create_task(self._deliver(batch, judged))))
                while underway and (batch is None or len(underway) >= self.in_flight):
                    done, task = underway.popleft()
                    self._count(report, await task, done.fraction, samples)
                    self.checkpoint.advance(report.skipped + report.rows, rejected_before + report.rejected)
                    self.on_progress(report)
                if batch is None:
                    break
                batch, judged = await asyncio.to_thread(next, batches, None), None
                if not looked:
                    judged, looked = await self._opening(batch)
        finally:
            await _abandon([task for _, task in underway])
            self.checkpoint.advance(report.skipped + report.rows, rejected_before + report.rejected, now=True)
        self.checkpoint.finish()
        return report

    async def _opening(self, batch: _Batch | None) -> tuple[list[Judged] | None, bool]:
        """What becomes of the first changes of the file, before anything is sent; and whether there were any in the batch."""
        if batch is None or self.gate is None:
            return None, True
        judged = await self._judge(batch)
        self.gate.require_that_some_can_win(judged)
        return judged, bool(judged)

    async def _judge(self, batch: _Batch) -> list[Judged]:
        events = [change.event for change in _changes(batch) if change.event is not None]
        return [Judged(Verdict.UNKNOWN)] * len(events) if self.gate is None else await self.gate.judge(events)

    async def _deliver(self, batch: _Batch, judged: Sequence[Judged] | None) -> list[_Settled]:
        """Send what can win of a batch; its rows, and those that are refused, by version or by the target, as rejected ones."""
        verdicts = iter(await self._judge(batch) if judged is None else judged)
        rows = [(row, [] if isinstance(row, Rejected) else [next(verdicts) for _ in row.changes]) for row in batch.rows]
        sent = [change for row, own in rows for change in _sendable(row, own)]
        refusals = iter(await self.target.send_each(sent) if sent else ())
        return [_settled(row, own, [next(refusals) for _ in _sendable(row, own)]) for row, own in rows]

    def _count(self, report: IngestReport, rows: Sequence[_Settled], fraction: float, samples: int) -> None:
        report.fraction = fraction
        for settled in rows:
            row = settled.row
            report.rows += 1
            report.changes += settled.changes
            report.equal += settled.equal
            report.refused += settled.refused
            if settled.older:
                report.older += 1
                report.older_sample = report.older_sample or settled.older
            if isinstance(row, Converted):
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


def _changes(batch: _Batch) -> list[EncodedEvent]:
    return [change for row in batch.rows if isinstance(row, Converted) for change in row.changes]


def _sendable(row: Converted | Rejected, judged: Sequence[Judged]) -> list[EncodedEvent]:
    """A row's changes that are sent: none of a row of which one is refused."""
    if isinstance(row, Rejected) or any(one.verdict.refused for one in judged):
        return []
    return [change for change, one in zip(row.changes, judged, strict=True) if one.verdict is not Verdict.OLDER]


def _settled(row: Converted | Rejected, judged: Sequence[Judged], refusals: Sequence[PoisonError | None]) -> _Settled:
    if isinstance(row, Rejected):
        return _Settled(row)
    by_version = [one.reason for one in judged if one.verdict.refused]
    if by_version:
        return _Settled(row.rejected("; ".join(by_version)), refused=True)
    refused = [str(refusal) for refusal in refusals if refusal is not None]
    if refused:
        return _Settled(row.rejected("; ".join(dict.fromkeys(refused))))
    equal = sum(one.verdict is Verdict.EQUAL for one in judged)
    older = next((one.reason for one in judged if one.verdict is Verdict.OLDER), "")
    return _Settled(row, len(refusals) - equal, equal, older)


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
