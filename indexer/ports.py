"""What the pipeline needs from outside, beside the vector index and the encoder: three small ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from indexer.records import DeadLetter, InboundRecord, LogId, TopicPartition
from schemas.documents import SearchDocument


class DocumentPublisher(Protocol):
    """The way to `catalog.documents`."""

    async def publish(self, documents: Sequence[SearchDocument]) -> None:
        """Append documents in order; when it returns they are durable in the log.

        Raises:
            LogUnavailableError: the log did not take them all; publishing them again is safe.
        """
        ...


class DeadLetterSink(Protocol):
    """The way to the dead-letter topic."""

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Append dead letters with original bytes, key, headers and coordinates; durable when it returns.

        Raises:
            LogUnavailableError: the log did not take them all; sending them again is safe.
        """
        ...


class ChangeJournal(Protocol):
    """A local durable copy of the change log, for the embedded mode, whose broker forgets at a stop."""

    async def append(self, log_id: LogId, records: Sequence[InboundRecord]) -> None:
        """Keep records; durable when it returns. A record that is kept already is not kept twice."""
        ...

    async def mark_applied(self, log_id: LogId, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Note that everything below these offsets is in the indexes; a restart begins there."""
        ...
