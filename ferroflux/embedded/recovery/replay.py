"""Applying journalled records again: what a crash left between the journal and the indexes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from indexer.journal.sqlite import SqliteChangeJournal
from indexer.pipeline import Pipeline
from indexer.records import next_offsets
from schemas.errors import RetryableError

_ATTEMPTS: Final = 5
_PAUSE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Replayed:
    """Records that went through the pipeline, and dead letters among them."""

    records: int
    dead_letters: int


async def replay(journal: SqliteChangeJournal, pipeline: Pipeline, on_progress: Callable[[int, int], None]) -> Replayed:
    """Apply what lies beyond the watermarks; returns how much that was. `on_progress` gets records done and in all.

    What was applied before changes nothing and costs no inference. A stop in the middle is gone on from.
    """
    total = (await journal.size()).pending
    done = dead_letters = 0
    async for slice_ in journal.unapplied():
        for attempt in range(_ATTEMPTS):
            try:
                report = await pipeline.process(slice_.records)
                break
            except RetryableError:
                if attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_PAUSE_S * 2**attempt)
        dead_letters += sum(report.dead_letters.values())
        await journal.mark_applied(slice_.log_id, next_offsets(slice_.records))
        done += len(slice_.records)
        on_progress(done, total)
    return Replayed(done, dead_letters)
