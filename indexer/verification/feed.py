"""What the verifier needs of the documents topic, which of its documents wait for their look, and how far it may be committed.

A document is looked at a while after it was read: one that was overtaken in ordinary operation is followed by its
successor within milliseconds, and then only the successor needs the look.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from indexer.records import TopicPartition
from schemas.errors import InvalidEventError
from schemas.identity import SkuKey


@dataclass(frozen=True, slots=True)
class FedRecord:
    """One record of the documents topic; a null value says that the product's tombstone was collected."""

    place: TopicPartition
    offset: int
    key: bytes | None
    value: bytes | None


class DocumentFeed(Protocol):
    """One member's share of the documents topic. Every method may raise LogUnavailableError."""

    async def open(self) -> None:
        """Join; reading begins where a commit of whichever member left off."""
        ...

    async def poll(self) -> Sequence[FedRecord]:
        """Records in order of partition and offset, or none after a short wait."""
        ...

    @property
    def epoch(self) -> int:
        """Grows with every rebalance. After one, reading begins again at what the group has committed."""
        ...

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Note that everything below these offsets was verified.

        Raises:
            LeaseLostError: the partitions went to another member, which reads them again.
        """
        ...

    async def close(self) -> None:
        """Leave; never raises."""
        ...


@dataclass(frozen=True, slots=True)
class LastSeen:
    """The newest record of one product that was read: where it stands, its revision (None: a null value), when to look."""

    place: TopicPartition
    offset: int
    rev: int | None
    deleted: bool
    due: float


class PendingLooks:
    """Products whose last record was not compared with the store yet."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._last: dict[SkuKey, LastSeen] = {}
        self._next: dict[TopicPartition, int] = {}

    def __len__(self) -> int:
        return len(self._last)

    def note(self, records: Iterable[FedRecord], now: float) -> None:
        """Take records in; a later record of a product replaces the one before it, and its look comes later, too.

        A record that is no document is passed over: the replica passes it as well, and reports it.
        """
        for record in records:
            self._next[record.place] = record.offset + 1
            try:
                key = SkuKey.parse((record.key or b"").decode())
                rev, deleted = _revision(record.value)
            except (InvalidEventError, UnicodeDecodeError, orjson.JSONDecodeError):
                continue
            self._last[key] = LastSeen(record.place, record.offset, rev, deleted, now + self._settle_s)

    def due(self, now: float, limit: int) -> dict[SkuKey, LastSeen]:
        """Up to `limit` products whose look is due."""
        found: dict[SkuKey, LastSeen] = {}
        for key, seen in self._last.items():
            if seen.due <= now:
                found[key] = seen
                if len(found) == limit:
                    break
        return found

    def looked(self, keys: Collection[SkuKey]) -> None:
        """These were compared, and repaired where they had to be."""
        for key in keys:
            self._last.pop(key, None)

    def committable(self) -> dict[TopicPartition, int]:
        """Per partition, the offset below which every product's last record was compared or followed by another."""
        offsets = dict(self._next)
        for seen in self._last.values():
            offsets[seen.place] = min(offsets.get(seen.place, seen.offset), seen.offset)
        return offsets


def _revision(value: bytes | None) -> tuple[int | None, bool]:
    if value is None:
        return None, True
    document = orjson.loads(value)
    rev = document.get("rev") if isinstance(document, dict) else None
    if type(rev) is not int:
        raise InvalidEventError("the record is no document")
    return rev, document.get("deleted") is True
