"""Which part of the change log a replay takes, and the port by which it reads it.

A record is selected by log time, offsets and partition, an event by tenant, SKU and facet.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any, Final, Protocol, Self

import orjson

from indexer.records import InboundRecord, TopicPartition
from schemas.errors import InvalidRequestError
from schemas.identity import sku_id, tenant_id
from schemas.product.changes import ChangeEvent, facet_key, facet_name

FOREVER_MS: Final = 2**62

_OFFSETS = re.compile(r"(?:(?P<topic>[^/\s]+)/)?(?P<partition>\d{1,10}):(?P<first>\d{1,19})(?:-(?P<last>\d{1,19}))?")


@dataclass(frozen=True, slots=True)
class OffsetRange:
    """Offsets `first` to `last`, both included; `last` None goes to the end. `topic` empty: of every change topic."""

    topic: str
    partition: int
    first: int
    last: int | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `[topic/]partition:first[-last]`.

        Raises:
            InvalidRequestError: the form is another.
        """
        match = _OFFSETS.fullmatch(text)
        if match is None:
            raise InvalidRequestError(f"--offsets {text!r} is not of the form [topic/]partition:first[-last]")
        last = match["last"]
        return cls(
            match["topic"] or "", int(match["partition"]), int(match["first"]), None if last is None else int(last)
        )

    def covers(self, place: TopicPartition) -> bool:
        """Whether the range is about this partition."""
        return self.topic in ("", place[0]) and self.partition == place[1]


@dataclass(frozen=True, slots=True)
class Selection:
    """Everything that is set must hold. Times are the log's, milliseconds since 1970, `until_ms` excluded.

    A facet without an instance means all its instances: `stock` takes `stock:branch-2`, too.
    """

    since_ms: int = 0
    until_ms: int = FOREVER_MS
    offsets: tuple[OffsetRange, ...] = ()
    partitions: frozenset[int] = field(default_factory=frozenset)
    tenant: str = ""
    skus: frozenset[str] = field(default_factory=frozenset)
    facets: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """From options or a request's members, checked; what is absent or empty selects everything.

        Raises:
            InvalidRequestError, InvalidEventError: a value cannot be.
        """
        since, until = int(raw.get("since_ms") or 0), int(raw.get("until_ms") or FOREVER_MS)
        if since >= until:
            raise InvalidRequestError("the selection ends before it begins: --since must be earlier than --until")
        return cls(
            since_ms=since,
            until_ms=until,
            offsets=tuple(OffsetRange.parse(text) for text in raw.get("offsets") or ()),
            partitions=frozenset(int(number) for number in raw.get("partitions") or ()),
            tenant=tenant_id(raw["tenant"]) if raw.get("tenant") else "",
            skus=frozenset(sku_id(sku) for sku in raw.get("skus") or ()),
            facets=frozenset(facet_key(facet) for facet in raw.get("facets") or ()),
        )

    def to_json(self) -> dict[str, Any]:
        """What `of` reads."""
        ranges = [
            f"{r.topic + '/' if r.topic else ''}{r.partition}:{r.first}{'' if r.last is None else f'-{r.last}'}"
            for r in self.offsets
        ]
        return {
            "since_ms": self.since_ms,
            "until_ms": self.until_ms,
            "offsets": ranges,
            "partitions": sorted(self.partitions),
            "tenant": self.tenant,
            "skus": sorted(self.skus),
            "facets": sorted(self.facets),
        }

    def differs_in_time_only(self, other: Selection) -> bool:
        """Whether the other is this one, but for when it was said."""
        return replace(other, since_ms=self.since_ms, until_ms=self.until_ms) == self

    @property
    def digest(self) -> str:
        """Names the selection: equal selections, equal digests."""
        return blake2b(orjson.dumps(self.to_json(), option=orjson.OPT_SORT_KEYS), digest_size=6).hexdigest()

    def takes_place(self, place: TopicPartition) -> bool:
        """Whether anything of this partition is taken."""
        if self.partitions and place[1] not in self.partitions:
            return False
        return not self.offsets or any(r.covers(place) for r in self.offsets)

    def takes_record(self, record: InboundRecord) -> bool:
        """Whether the record is in the stretch."""
        place = (record.topic, record.partition)
        if not self.takes_place(place) or not self.since_ms <= record.timestamp_ms < self.until_ms:
            return False
        return not self.offsets or any(
            r.covers(place) and r.first <= record.offset and (r.last is None or record.offset <= r.last)
            for r in self.offsets
        )

    def takes_event(self, event: ChangeEvent) -> bool:
        """Whether the event is meant."""
        return (
            self.tenant in ("", event.key.tenant)
            and (not self.skus or event.key.sku in self.skus)
            and (not self.facets or event.facet in self.facets or facet_name(event.facet) in self.facets)
        )


Position = Mapping[str, Any]
"""How far a source has been read, as JSON; only the source that made it understands it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Records in order, the position after them, and how far that is (0 to 1)."""

    records: Sequence[InboundRecord]
    position: Position
    fraction: float


class ReplaySource(Protocol):
    """A change log as a replay reads it."""

    def pages(self, selection: Selection, position: Position | None) -> AsyncIterator[Page]:
        """What is selected, from a position on, to the end that the log had when the replay first began.

        Records outside the selection may be among them. A page can be empty where only the position moved.
        """
        ...
