"""The values at the indexer's edges: a record as the log gave it, a dead letter as the log gets it, and a point that has no document yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NewType

from retrieval.vectors.port import PointPayload
from schemas.events.dead_letters import first_taken_ms
from schemas.product.merge import ItemState

LogId = NewType("LogId", str)
"""Identity of a log: Kafka's cluster id. Offsets of one log mean nothing in another."""

TopicPartition = tuple[str, int]

_FIRST_PLAUSIBLE_MS: Final = 10**12
"""September 2001: what lies before is a count of seconds, or nothing."""


@dataclass(frozen=True, slots=True)
class InboundRecord:
    """One record of a change topic with its coordinates, before anything is believed about its bytes.

    `by_log` says whose word `timestamp_ms` is: the log's (LogAppendTime, the journal), or the producer's, whose clock may be wrong.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    by_log: bool = True

    @property
    def coordinates(self) -> str:
        """`topic/partition@offset`, for logs and messages."""
        return f"{self.topic}/{self.partition}@{self.offset}"


def taken_ms(record: InboundRecord, now_ms: int) -> int:
    """When the log took a record, milliseconds since 1970: what its versions and its source are judged by, whenever it is read.

    A record that was sent again brings the time of its first reading along. Where the topic leaves the time to producers,
    theirs counts as far as it is not ahead of the reader's clock, so that reading again later decides the same; one that is
    no time counts for nothing.
    """
    first = first_taken_ms(record.headers)
    if first is not None:
        return first
    if record.by_log:
        return record.timestamp_ms
    return min(record.timestamp_ms, now_ms) if record.timestamp_ms >= _FIRST_PLAUSIBLE_MS else now_ms


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be processed: the original, the reason's code, and a sentence for the operator."""

    record: InboundRecord
    reason: str
    detail: str
    tenant: str = ""
    attempt: int = 1
    stage: str = "parse"
    """Where it was set apart. What the parse finds is in the record; what a later stage finds may be one generation's own."""


def next_offsets(records: Iterable[InboundRecord]) -> dict[TopicPartition, int]:
    """What to commit once these records are done: per partition, the offset after the highest."""
    offsets: dict[TopicPartition, int] = {}
    for record in records:
        place = (record.topic, record.partition)
        offsets[place] = max(offsets.get(place, 0), record.offset + 1)
    return offsets


def first_offsets(records: Iterable[InboundRecord]) -> dict[TopicPartition, int]:
    """Where to read again from if these records are not done: per partition, the lowest offset."""
    offsets: dict[TopicPartition, int] = {}
    for record in records:
        place = (record.topic, record.partition)
        offsets[place] = min(offsets.get(place, record.offset), record.offset)
    return offsets


def awaits_item(payload: PointPayload) -> bool:
    """Whether no item event of a stored product was ever seen: its prices and stocks wait, and it has no document.

    Everything that goes from the store to the documents topic passes such products over: were documents made of them, a store
    that was lost would delete, price by price, what the topic still holds. Of a state that cannot be read nothing is said.
    """
    if payload.alive:
        return False
    try:
        return not ItemState.from_bytes(payload.state).known
    except Exception:  # noqa: BLE001 - whoever works on the state sets it apart, with the reason
        return False
