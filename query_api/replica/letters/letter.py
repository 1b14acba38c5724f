"""The dead letter of a thing that a replica set apart. Pure.

Its coordinates, time and attempt are the record's own, so the letters of ten replicas are one for the operator. While the
record is at hand its letter holds it, else it names it: by its place, digest and size, by which a redrive finds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from query_api.replica.document_log import LogRecord
from retrieval.text.apart.values import Apart
from schemas.events.dead_letters import (
    DIGEST_HEADER,
    SIZE_HEADER,
    TRUNCATED_HEADER,
    LetterRecord,
    fitting_letter,
    own_headers,
    tenant_named,
)


@dataclass(frozen=True, slots=True)
class ReplicaLetter:
    """A letter before it is known how large its topic lets it be."""

    apart: Apart
    record: LogRecord | None
    ours: Mapping[str, str]

    def fitting(self, most: int) -> LetterRecord:
        """As a record of at most `most` bytes."""
        record, place = self.record, self.apart.place
        if record is not None:
            return fitting_letter(record.key, record.value, record.headers, self.ours, most=most)
        named = {TRUNCATED_HEADER: "value,headers", DIGEST_HEADER: place.digest, SIZE_HEADER: str(place.size)}
        headers = [(name, text.encode()) for name, text in {**self.ours, **named}.items()]
        return LetterRecord(self.apart.key.encode(), b"", [*headers])


def letter_of(apart: Apart, record: LogRecord | None, *, topic: str, now_us: int) -> ReplicaLetter:
    """The letter of what was set apart from a topic."""
    place = apart.place
    ours = own_headers(
        reason=apart.flaw.value,
        detail=apart.sentence,
        topic=topic,
        partition=place.partition,
        offset=place.offset,
        timestamp_ms=place.timestamp_ms,
        attempt=place.attempt,
        tenant=tenant_named(apart.key),
        now_us=now_us,
    )
    return ReplicaLetter(apart, record, ours)
