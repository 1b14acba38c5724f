"""Building a generation beside the live one: from its manifest to the moment at which it follows live changes.

    choose what to read: the change log from its first record, or, where that is gone, the products that there are
    manifest ─▶ an indexer with a group, a collection and a documents topic of its own ─▶ caught up ─▶ "prepared"

The live indexers notice nothing. Once the generation is prepared, they take it on beside their own (decision 0048), and
the build ends. It can be killed at any time: the same command goes on where it stopped.

The products that there are stand in the documents topic; those that wait for their item stand in the store alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from indexer.generations.backfill import Backfilled
from indexer.generations.settings import settings_for
from indexer.kafka.groups import GroupAdmin
from indexer.kafka.reader import KafkaReader
from indexer.records import TopicPartition, awaits_item
from indexer.settings import IndexerSettings
from retrieval.vectors.port import VectorIndex
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.errors import ConfigurationError, InvalidEventError
from schemas.identity import SkuKey
from schemas.records.generations import Generation, Origin

log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.5
_NEAR_ENOUGH_S: Final = 10.0
"""A round of catching up that took no longer than this leaves no more than so much to follow: that is following."""


@dataclass(frozen=True, slots=True)
class ChangeLogRange:
    """What the change topics still hold, and where the live generation has got to."""

    begins: Mapping[TopicPartition, int]
    committed: Mapping[TopicPartition, int]

    @property
    def complete(self) -> bool:
        """Whether every partition still has its first record."""
        return not any(self.begins.values())

    @property
    def starts(self) -> dict[str, int]:
        """Where to follow from after the backfill: all below it is in the source's states, for its offsets come last."""
        return {
            f"{topic}/{number}": max(begin, self.committed.get((topic, number), begin))
            for (topic, number), begin in self.begins.items()
        }


@dataclass(frozen=True, slots=True)
class BuildProgress:
    """How far a build is: what it does, and the share of it that is done."""

    what: str
    fraction: float
    text: str


OnProgress = Callable[[BuildProgress], None]


async def change_log_range(settings: IndexerSettings, source: Generation) -> ChangeLogRange:
    """Look at the change topics and at the group of the generation that is live."""
    group = settings_for(settings, source).consumer.group_id
    async with GroupAdmin(settings.kafka) as admin:
        # First how far the live generation is, then what the log holds: retention may take records in between.
        committed = await admin.committed(group)
    async with KafkaReader(settings.kafka) as reader:
        begins = await reader.begins(await reader.partitions(settings.kafka.topics.consumed))
    return ChangeLogRange(begins, committed)


def origin_of(log_range: ChangeLogRange, asked: Origin | None) -> Origin:
    """Where the build reads: what was asked for, else the change log where it is complete.

    Raises:
        ConfigurationError: the change log was asked for and is not complete.
    """
    if asked is Origin.CHANGES and not log_range.complete:
        cut = sorted(
            f"{topic}/{number} begins at {begin}" for (topic, number), begin in log_range.begins.items() if begin
        )
        raise ConfigurationError(
            f"the change log no longer reaches back to its beginning ({', '.join(cut[:3])}): leave --from out, or give "
            "--from documents, to start from the products that there are"
        )
    return asked or (Origin.CHANGES if log_range.complete else Origin.DOCUMENTS)


def starts_of(manifest: Generation) -> dict[TopicPartition, int]:
    """The manifest's starts by partition."""
    return {
        (place.rpartition("/")[0], int(place.rpartition("/")[2])): offset for place, offset in manifest.starts.items()
    }


class CatchUp:
    """Waits until a generation's group has come near enough to the end of the change topics."""

    def __init__(self, settings: IndexerSettings, group: str, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._group = group
        self._clock = clock

    async def wait(self, on_progress: OnProgress) -> None:
        """Return once a round, from an end to its being reached, took a few seconds only.

        Raises:
            LogUnavailableError: the brokers do not answer.
        """
        async with GroupAdmin(self._settings.kafka) as admin, KafkaReader(self._settings.kafka) as reader:
            while True:
                began = self._clock.monotonic()
                places = await reader.partitions(self._settings.kafka.topics.consumed)
                begins, ends = await reader.begins(places), await reader.ends(places)
                await self._reach(admin, begins, ends, on_progress)
                if self._clock.monotonic() - began <= _NEAR_ENOUGH_S:
                    return

    async def _reach(
        self,
        admin: GroupAdmin,
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        tell: OnProgress,
    ) -> None:
        first: int | None = None
        while True:
            left = lag_of(await admin.committed(self._group), begins, ends)
            first = left if first is None else max(first, left)
            tell(
                BuildProgress(
                    "reading the change log", 1.0 if not first else 1 - left / first, f"{left:,} records to go"
                )
            )
            if not left:
                return
            await asyncio.sleep(_LOOK_EVERY_S)


def lag_of(
    committed: Mapping[TopicPartition, int], begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> int:
    """Records that a group has not done yet, over all partitions."""
    return sum(max(0, end - max(committed.get(place, 0), begins.get(place, 0))) for place, end in ends.items())


def backfill_progress(backfilled: Backfilled, expected: int) -> BuildProgress:
    """A backfill's progress against the number of products that the source holds."""
    done = backfilled.products + backfilled.unchanged
    return BuildProgress("taking products over", min(1.0, done / max(1, expected)), f"{done:,} products")


@dataclass(slots=True)
class BuildOutcome:
    """What a build did, for the person who ran it."""

    manifest: Generation
    seconds: float = 0.0
    products: int = 0
    """Living products in the new collection."""
    taken_over: int = 0
    """Vectors that came from the source collection."""
    computed: Mapping[str, int] = field(default_factory=dict)
    """Vectors that were computed, by space."""
    without_state: int = 0
    set_apart: Counter[str] = field(default_factory=Counter)
    """Products that could not be taken over, and records of those that could not be taken in, by reason; the rest was."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "generation": self.manifest.name,
            "origin": str(self.manifest.origin),
            "seconds": round(self.seconds, 2),
            "products": self.products,
            "taken_over": self.taken_over,
            "embedded": max(self.computed.values(), default=0),
            "computed": dict(self.computed),
            "without_state": self.without_state,
            "set_apart": dict(self.set_apart),
        }


async def listed_in(reader: KafkaReader, topic: str) -> AsyncIterator[Mapping[SkuKey, bool]]:
    """Pages over the topic from its first record to the end that it has now; a null record removes its product."""
    places = await reader.partitions([topic])
    begins, ends = await reader.begins(places), await reader.ends(places)
    async for records in reader.read(begins, ends):
        page: dict[SkuKey, bool] = {}
        for record in records:
            try:
                page[SkuKey.parse((record.key or b"").decode())] = record.value is not None
            except (InvalidEventError, UnicodeDecodeError) as error:
                log.warning("record of the documents topic names no product", at=record.coordinates, reason=str(error))
        yield page


async def waiting_in(index: VectorIndex) -> AsyncIterator[Mapping[SkuKey, bool]]:
    """Pages over the products that wait for their item: they have no document, and their prices must not be lost."""
    async for points in index.scan():
        waiting = [key for key, payload in points.items() if awaits_item(payload)]
        if waiting:
            yield dict.fromkeys(waiting, True)


async def both(
    first: AsyncIterator[Mapping[SkuKey, bool]], then: AsyncIterator[Mapping[SkuKey, bool]]
) -> AsyncIterator[Mapping[SkuKey, bool]]:
    """One listing after the other."""
    async for page in first:
        yield page
    async for page in then:
        yield page
