"""The replay itself: read, parse, select, and give to the pipeline, at the rate that is asked for.

It cannot go backwards: what it gives to the pipeline is merged by version like any live change, so older events are
counted as stale and change nothing. It commits no offset and touches no consumer group.

How far it has come stands in a small file, so that one that was interrupted goes on. The file is named after what was asked
for, in the words in which it was: "the last two hours" is another stretch of the log whenever it is said, and must find the run
that was interrupted all the same. So the file holds the stretch that was meant then, too.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Self

import orjson
import structlog

from indexer.batch.pipeline import Pipeline
from indexer.batch.plan import Arrival, fold, merge
from indexer.batch.triage import triage
from indexer.records import InboundRecord
from indexer.replay.selection import Position, ReplaySource, Selection
from retrieval.vectors.port import VectorIndex
from runtime.clock import Clock, Sleep
from runtime.files import atomic_write
from runtime.isolation import Batch, Isolation
from runtime.retry import Backoff, BackoffPolicy, retry
from schemas.errors import FerrofluxError
from schemas.events.parser import EventParser
from schemas.identity import SkuKey

log = structlog.get_logger(__name__)

_ATTEMPTS: Final = 8
_LARGEST_RECORD: Final = 4_194_304


@dataclass(slots=True)
class Replayed:
    """Counts of a replay so far.

    Of records: `read`, `selected` (in the stretch), `ignored`, `poison`. Of events: `events`, `by_tenant`, `by_facet`, and
    what they did, or would do: `applied`, `duplicates`, `stale`. Of products: `embedded`, and `set_apart` with a dead letter.
    """

    read: int = 0
    selected: int = 0
    ignored: int = 0
    poison: int = 0
    events: int = 0
    applied: int = 0
    duplicates: int = 0
    stale: int = 0
    embedded: int = 0
    set_apart: int = 0
    by_tenant: Counter[str] = field(default_factory=Counter)
    by_facet: Counter[str] = field(default_factory=Counter)
    products: set[SkuKey] = field(default_factory=set)
    fraction: float = 0.0
    interrupted_us: int = 0
    """When the run was interrupted with which this one went on, microseconds since 1970; 0: it began anew."""

    def to_json(self) -> dict[str, Any]:
        """For the command line and the HTTP answer."""
        numbers = {
            name: getattr(self, name)
            for name in (
                "read",
                "selected",
                "ignored",
                "poison",
                "events",
                "applied",
                "duplicates",
                "stale",
                "embedded",
                "set_apart",
            )
        }
        return {
            **numbers,
            "products": len(self.products),
            "by_tenant": dict(self.by_tenant),
            "by_facet": dict(self.by_facet),
            "fraction": round(self.fraction, 4),
            "interrupted_us": self.interrupted_us,
        }


class Replayer:
    """One replay at a time over one source."""

    def __init__(
        self,
        source: ReplaySource,
        pipeline: Pipeline,
        index: VectorIndex,
        parser: EventParser,
        *,
        clock: Clock,
        rng: random.Random,
        sleep: Sleep = asyncio.sleep,
        backoff: BackoffPolicy | None = None,
    ) -> None:
        self._source = source
        self._pipeline = pipeline
        self._index = index
        self._parser = parser
        self._clock = clock
        self._rng = rng
        self._sleep = sleep
        self._backoff = backoff or BackoffPolicy()
        self._parsing = Isolation("parsing records")
        self._comparing = Isolation("comparing products")

    async def run(
        self,
        selection: Selection,
        *,
        apply: bool,
        checkpoint: ReplayCheckpoint | None = None,
        records_per_s: float | None = None,
        on_progress: Callable[[Replayed], None] | None = None,
    ) -> Replayed:
        """Replay the selection; without `apply` only count, and compare the events with what is stored now.

        With a checkpoint it goes on where an interrupted run of the same request stopped, with the selection of that run; at
        the end the file is removed.

        Raises:
            RetryableError: a dependency stayed away; run it again with the same checkpoint.
        """
        counts = Replayed()
        position, interrupted = None, checkpoint.load() if checkpoint is not None and apply else None
        # A request's name is only a name: whoever gives it goes on with nothing that he could not have asked for.
        if interrupted is not None and selection.differs_in_time_only(interrupted.selection):
            selection, position, counts.interrupted_us = interrupted.selection, interrupted.position, interrupted.at_us
            log.info("replay goes on where it was interrupted")
        began = self._clock.monotonic()
        async for page in self._source.pages(selection, position):
            counts.read += len(page.records)
            counts.fraction = page.fraction
            arrivals = self._select(page.records, selection, counts)
            await (self._apply(arrivals, counts) if apply else self._compare(arrivals, counts))
            if checkpoint is not None and apply:
                checkpoint.save(selection, page.position, self._clock.now_us())
            if on_progress is not None:
                on_progress(counts)
            if records_per_s and apply:
                ahead = counts.read / records_per_s - (self._clock.monotonic() - began)
                if ahead > 0:
                    await self._sleep(ahead)
        counts.fraction = 1.0
        if checkpoint is not None and apply:
            checkpoint.clear()
        log.info("replayed", dry_run=not apply, selection=selection.to_json(), **counts.to_json())
        return counts

    def _select(self, records: Sequence[InboundRecord], selection: Selection, counts: Replayed) -> list[Arrival]:
        selected = [record for record in records if selection.takes_record(record)]
        looked = triage(
            selected,
            self._parser,
            max_record_bytes=_LARGEST_RECORD,
            isolation=self._parsing,
            now_us=self._clock.now_us(),
        )
        arrivals = [arrival for arrival in looked.arrivals if selection.takes_event(arrival.event)]
        counts.selected += len(selected)
        counts.ignored += looked.ignored
        counts.poison += len(looked.letters)  # they are among the dead letters since they first came
        counts.events += len(arrivals)
        counts.by_tenant.update(arrival.event.key.tenant for arrival in arrivals)
        counts.by_facet.update(arrival.event.facet for arrival in arrivals)
        counts.products.update(arrival.event.key for arrival in arrivals)
        return arrivals

    async def _apply(self, arrivals: Sequence[Arrival], counts: Replayed) -> None:
        if not arrivals:
            return
        report = await retry(
            partial(self._pipeline.apply, arrivals),
            "replay waits for a dependency",
            backoff=Backoff(self._backoff, self._rng),
            attempts=_ATTEMPTS,
            sleep=self._sleep,
        )
        counts.applied += report.applied
        counts.duplicates += report.duplicates
        counts.stale += report.stale
        counts.embedded += report.embedded
        counts.set_apart += len(report.apart)

    async def _compare(self, arrivals: Sequence[Arrival], counts: Replayed) -> None:
        groups = fold(arrivals)
        stored = await self._index.read(list(groups))
        comparing: Batch[SkuKey] = self._comparing.batch(len(groups))
        for key, group in groups.items():
            with comparing.one(key, name=str(key)):
                merged = merge(stored.get(key), group)
                counts.applied += merged.applied
                counts.duplicates += merged.duplicates
                counts.stale += merged.stale
        counts.set_apart += len(comparing.set_apart)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """An earlier run: what it selected, how far it came, and when that was (microseconds since 1970)."""

    selection: Selection
    position: Position
    at_us: int


@dataclass(frozen=True, slots=True)
class ReplayCheckpoint:
    """The file of one request in a folder."""

    path: Path

    @classmethod
    def of(cls, folder: Path, selection: Selection, asked: str = "") -> Self:
        """The request's file; it need not exist. `asked` is `digest_of` its words; without, the selection stands for it."""
        return cls(folder / f"{asked or selection.digest}.json")

    def load(self) -> Interrupted | None:
        """The interrupted run; None where there is none, or the file is torn or of another version."""
        try:
            raw = orjson.loads(self.path.read_bytes())
            return Interrupted(Selection.of(raw["selection"]), raw["position"], int(raw["at_us"]))
        except (OSError, ValueError, LookupError, TypeError, FerrofluxError):
            return None

    def save(self, selection: Selection, position: Position, at_us: int) -> None:
        """Keep the position, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = orjson.dumps({"selection": selection.to_json(), "position": position, "at_us": at_us})
        atomic_write(self.path, content, durable=False)

    def clear(self) -> None:
        """The replay is complete."""
        self.path.unlink(missing_ok=True)


def digest_of(words: Mapping[str, Any]) -> str:
    """Names a request by the words of its options: equal words, equal digests."""
    return blake2b(orjson.dumps(words, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
