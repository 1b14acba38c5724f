"""Applying journalled records again: what a crash left between the journal and the indexes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from indexer.journal.sqlite import SqliteChangeJournal
from indexer.pipeline import Pipeline
from indexer.records import next_offsets
from runtime.retry import Backoff, BackoffPolicy, retry

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Replayed:
    """Records that went through the pipeline, and dead letters among them."""

    records: int
    dead_letters: int


async def replay(
    journal: SqliteChangeJournal,
    pipeline: Pipeline,
    on_progress: Callable[[int, int], None],
    backoff: Backoff | None = None,
) -> Replayed:
    """Apply what lies beyond the watermarks; returns how much that was. `on_progress` gets records done and in all.

    What was applied before changes nothing and costs no inference. A stop in the middle is gone on from.
    """
    total = (await journal.size()).pending
    backoff, done, dead_letters = backoff or Backoff(BackoffPolicy()), 0, 0
    async for slice_ in journal.unapplied():
        report = await retry(
            partial(pipeline.process, slice_.records),
            "recovery waits for a store",
            backoff=backoff,
            attempts=_ATTEMPTS,
        )
        backoff.reset()
        dead_letters += sum(report.dead_letters.values())
        await journal.mark_applied(slice_.log_id, next_offsets(slice_.records))
        done += len(slice_.records)
        on_progress(done, total)
    return Replayed(done, dead_letters)
