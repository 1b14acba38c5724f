"""The values at the indexer's two edges: a record as the log gave it, and a dead letter as the log gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

LogId = NewType("LogId", str)
"""Identity of a log: Kafka's cluster id. Offsets of one log mean nothing in another."""

TopicPartition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class InboundRecord:
    """One record of a change topic with its coordinates, before anything is believed about its bytes."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def coordinates(self) -> str:
        """`topic/partition@offset`, for logs and messages."""
        return f"{self.topic}/{self.partition}@{self.offset}"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not be processed: the original, the reason's code, and a sentence for the operator."""

    record: InboundRecord
    reason: str
    detail: str
    tenant: str = ""
    attempt: int = 1
