"""Removing tombstones, so that a product can come back at any moment and nothing old can.

The order of effects is what makes it safe. First the null record: replicas forget the product, the vector store still
holds its versions, so an event that comes now is merged as ever. Then the store's point, under a guard of its revision:
a product that was changed or revived meanwhile is refused, and published again, for its document may stand before our
null record. Between the two a crash leaves a null record over a stored tombstone: the next run does the rest, and the
verifier publishes the tombstone again if the run does not come.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson
import structlog

from indexer.kafka.reader import KafkaReader
from indexer.ports import DocumentRemover
from indexer.records import awaits_item
from retrieval.vectors.port import PointPayload, VectorIndex
from schemas.errors import InvalidEventError
from schemas.identity import SkuKey, TenantId

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class GcCounts:
    """What a run found: tombstones looked at; `within_reach` of a replay, so kept; `changed` since, so kept; `due`.

    A dry run ends there. Otherwise `removed` were, and `revived` came back in the middle and were published again.
    """

    tombstones: int = 0
    within_reach: int = 0
    changed: int = 0
    due: int = 0
    removed: int = 0
    revived: int = 0


class TombstoneGc:
    """Collects what is due. Several may run at once, beside any number of writers."""

    def __init__(
        self,
        index: VectorIndex,
        source: TombstoneSource,
        remover: DocumentRemover,
        republish: Callable[[Sequence[SkuKey]], Awaitable[object]],
    ) -> None:
        self._index = index
        self._source = source
        self._remover = remover
        self._republish = republish

    async def run(self, *, before_us: int, apply: bool, tenant: TenantId | None = None) -> GcCounts:
        """Look at every tombstone (of one tenant), and with `apply` remove those last heard of before `before_us`.

        Raises:
            RetryableError: a store or the log did not answer; running it again goes on where this run stopped.
        """
        found = GcCounts()
        async for page in self._source.tombstones():
            mine = [tombstone for tombstone in page if tenant in (None, tombstone.key.tenant)]
            old = [tombstone for tombstone in mine if tombstone.published_us < before_us]
            stored = await self._index.read([tombstone.key for tombstone in old])
            waiting = {key for key, point in stored.items() if awaits_item(point)}
            due = [one for one in old if one.key in waiting or _is_due(one, stored.get(one.key))]
            found.tombstones += len(mine)
            found.within_reach += len(mine) - len(old)
            found.changed += len(old) - len(due)
            found.due += len(due)
            if apply and due:
                await self._remove(due, waiting, found)
        log.info(
            "tombstones looked at", dry_run=not apply, tombstones=found.tombstones, due=found.due, removed=found.removed
        )
        return found

    async def _remove(self, due: Sequence[Tombstone], waiting: Collection[SkuKey], found: GcCounts) -> None:
        """Of a product that waits for its item, a tombstone is left over: what waits stays."""
        await self._remover.remove([tombstone.key for tombstone in due])
        back = await self._index.collect({one.key: one.rev for one in due if one.key not in waiting})
        if back:
            await self._republish(sorted(back))
        found.removed += len(due) - len(back)
        found.revived += len(back)


def _is_due(tombstone: Tombstone, point: PointPayload | None) -> bool:
    """Also where the store does not hold the product: an earlier run came as far as the point, and no further."""
    return point is None or (not point.alive and point.rev == tombstone.rev)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A deleted product as the documents topic or the replica has it.

    `published_us` is when its document was last published, microseconds since 1970. Every event of the product that
    comes by the live log publishes it, a stale one included, so this is when the product was last heard of.
    """

    key: SkuKey
    rev: int
    published_us: int


class TombstoneSource(Protocol):
    """Where tombstones are listed."""

    def tombstones(self) -> AsyncIterator[Sequence[Tombstone]]:
        """All of them, page by page."""
        ...


class KafkaTombstones:
    """Tombstones that are the last record of their product in the documents topic, which is read as a whole."""

    def __init__(self, reader: KafkaReader, topic: str, *, page: int = 500) -> None:
        self._reader = reader
        self._topic = topic
        self._page = page

    async def tombstones(self) -> AsyncIterator[Sequence[Tombstone]]:
        """Read the topic to its present end, then give the pages. Memory holds the tombstones only."""
        places = await self._reader.partitions([self._topic])
        begins, ends = await self._reader.begins(places), await self._reader.ends(places)
        found: dict[SkuKey, Tombstone] = {}
        async for records in self._reader.read(begins, ends, page=2000):
            for record in records:
                tombstone = read_tombstone(record.key, record.value)
                if isinstance(tombstone, Tombstone):
                    found[tombstone.key] = tombstone
                elif tombstone is not None:
                    found.pop(tombstone, None)
        rows = list(found.values())
        for start in range(0, len(rows), self._page):
            yield rows[start : start + self._page]


def read_tombstone(raw_key: bytes | None, value: bytes | None) -> Tombstone | SkuKey | None:
    """A tombstone; the key of anything else that a product's record says; None where the record is no document."""
    try:
        key = SkuKey.parse((raw_key or b"").decode())
        document = None if value is None else orjson.loads(value)
    except (InvalidEventError, UnicodeDecodeError, orjson.JSONDecodeError):
        return None
    if not isinstance(document, dict) or document.get("deleted") is not True or type(document.get("rev")) is not int:
        return key
    times = document.get("times")
    published_us = times.get("indexed_us", 0) if isinstance(times, dict) else 0
    return Tombstone(key, document["rev"], published_us)
