"""What the verifier needs of the documents topic: its records, each at least once, and a place to note how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from indexer.records import TopicPartition


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
