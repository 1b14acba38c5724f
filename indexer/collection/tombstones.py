"""Which tombstones there are, and since when nothing has been heard of their products."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from indexer.kafka.reader import KafkaReader
from schemas.errors import InvalidEventError
from schemas.identity import SkuKey


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
