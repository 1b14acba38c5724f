"""What the tailer needs of the documents log: its identity, its bounds, and records in order of partition and offset.

A consumer group would be wrong here: every replica reads everything, and how far it is stands in its own index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Bounds:
    """Offsets of one partition: the first that the log still holds, and the next that it will give."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class LogView:
    """What a log looked like when it was opened: its identity (`runtime.kafka.topic_identity`) and its partitions."""

    log_id: str
    bounds: Mapping[int, Bounds]


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of the documents topic; a null value says that the key's tombstone was collected as garbage."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int = 0
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll gave: records, the next offset of every partition, and the ends as last seen.

    A position can move without a record: past a transaction's marker, or past what compaction took away.
    """

    records: Sequence[LogRecord]
    positions: Mapping[int, int]
    ends: Mapping[int, int]


class DocumentLog(Protocol):
    """One connection to the documents topic. Every method may raise LogUnavailableError."""

    async def open(self) -> LogView:
        """Connect and look at the topic."""
        ...

    def follow(self, positions: Mapping[int, int]) -> None:
        """Read these partitions, from these offsets on; what was followed before is let go."""
        ...

    async def poll(self) -> Polled:
        """Records that have come, or none after the poll's timeout.

        A position that the log no longer holds is a LogUnavailableError too: opened again, it shows its new bounds.
        """
        ...

    def partitions(self) -> frozenset[int]:
        """The topic's partitions, as last seen; an operator may add some at any time."""
        ...

    async def close(self) -> None:
        """Disconnect; never raises."""
        ...
