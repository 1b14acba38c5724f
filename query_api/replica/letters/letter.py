"""The dead letter of a thing that a replica set apart. Pure.

Its coordinates, time and attempt are the record's own, so the letters of ten replicas are one for the operator. While the
record is at hand its letter holds it, else it names it: by its place, digest and size, by which a redrive finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from query_api.replica.log.port import LogRecord
from retrieval.text.apart.values import Apart
from schemas.errors import PoisonError
from schemas.events.dead_letters import (
    DIGEST_HEADER,
    SIZE_HEADER,
    TRUNCATED_HEADER,
    DeadLetterHeaders,
    LetterRecord,
    fitting_letter,
)
from schemas.identity import SkuKey

_LONGEST_DETAIL: Final = 1000


@dataclass(frozen=True, slots=True)
class ReplicaLetter:
    """A letter before it is known how large its topic lets it be."""

    apart: Apart
    record: LogRecord | None
    ours: Mapping[str, str]

    def fitting(self, most: int) -> LetterRecord:
        """As a record of at most `most` bytes. Kafka takes none without key and value: such a one becomes empty."""
        record, place = self.record, self.apart.place
        if record is not None:
            value = b"" if record.key is None and record.value is None else record.value
            return fitting_letter(record.key, value, record.headers, self.ours, most=most)
        named = {TRUNCATED_HEADER: "value,headers", DIGEST_HEADER: place.digest, SIZE_HEADER: str(place.size)}
        headers = [(name, text.encode()) for name, text in {**self.ours, **named}.items()]
        return LetterRecord(self.apart.key.encode(), b"", [*headers])


def letter_of(apart: Apart, record: LogRecord | None, *, topic: str, now_us: int) -> ReplicaLetter:
    """The letter of what was set apart from a topic."""
    nothing = record is not None and record.key is None and record.value is None
    ours = DeadLetterHeaders.model_validate(
        {
            "ferroflux.reason": apart.flaw.value,
            "ferroflux.detail": apart.sentence[:_LONGEST_DETAIL],
            "ferroflux.topic": topic,
            "ferroflux.partition": str(apart.place.partition),
            "ferroflux.offset": str(apart.place.offset),
            "ferroflux.timestamp": str(apart.place.timestamp_ms),
            "ferroflux.attempt": str(apart.place.attempt),
            "ferroflux.tenant": _tenant(apart.key),
            "ferroflux.time": str(now_us),
            "ferroflux.null": "value" if nothing else None,
        }
    )
    return ReplicaLetter(apart, record, ours.model_dump(by_alias=True, exclude_none=True))


def _tenant(key: str) -> str:
    try:
        return SkuKey.parse(key).tenant
    except PoisonError:
        return ""
