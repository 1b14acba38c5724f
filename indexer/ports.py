"""What the indexer needs from outside, beside the vector index: small ports, so that a test or a simulation can be all of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from indexer.records import DeadLetter, InboundRecord, LogId, TopicPartition
from retrieval.vectors.port import AnyVector, VectorIndex
from retrieval.vectors.spaces import Spaces
from runtime.clock import Clock, Sleep
from schemas.documents import DocumentTimes, SearchDocument
from schemas.errors import PoisonError, RetryableError
from schemas.identity import SkuKey
from schemas.product.merge import ItemState


class LeaseLostError(RetryableError):
    """The batch's partitions went to another indexer while it was worked on. That one does the rest; nothing to do here."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True)
class Published:
    """What became of documents: why the log will never take some, by product, and how many went that lack something."""

    refused: Mapping[SkuKey, PoisonError] = field(default_factory=dict)
    incomplete: int = 0


class DocumentPublisher(Protocol):
    """The way to `catalog.documents`."""

    async def publish(self, documents: Sequence[SearchDocument]) -> Published:
        """Append documents in order; when it returns they are durable in the log.

        One that is larger than the log takes goes shortened (`schemas.product.shortening`), and says what it lacks.

        Raises:
            LogUnavailableError: the log did not take them all; publishing them again is safe.
        """
        ...


class DocumentRemover(Protocol):
    """The way of null records to `catalog.documents`."""

    async def remove(self, keys: Sequence[SkuKey]) -> None:
        """Append a null record for each product; durable when it returns.

        Raises:
            LogUnavailableError: the log did not take them all; doing it again is safe.
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

    async def append(self, log_id: LogId, records: Sequence[InboundRecord]) -> Sequence[InboundRecord]:
        """Keep records; durable when it returns, with the records as they are kept.

        A record that is kept already is not kept twice: its time stays that of its first keeping.
        """
        ...

    async def mark_applied(self, log_id: LogId, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Note that everything below these offsets is in the indexes; a restart begins there."""
        ...


class Lease(Protocol):
    """The right to write and publish for the partitions of one batch, until a revocation takes it away."""

    def check(self) -> None:
        """Return while the right is held.

        Raises:
            LeaseLostError: the partitions were taken away.
        """
        ...


class PassageEncoder(Protocol):
    """The encoders of all spaces as the pipeline sees them: awaited, because the work is done off the event loop."""

    @property
    def spaces(self) -> Spaces:
        """The spaces that they fill."""
        ...

    async def encode(self, space: str, inputs: Sequence[str]) -> Sequence[AnyVector]:
        """The inputs' vectors in one space, in the order of the inputs."""
        ...

    async def lengths(self, texts: Sequence[str]) -> Sequence[int]:
        """How long each catalogue text is for the encoder: those of like length are cheap together."""
        ...


class DocumentComposer(Protocol):
    """Builds the search document of a merged state; the tenant's price and stock policy is bound into it."""

    def __call__(
        self, key: SkuKey, state: ItemState, *, rev: int, text_hash: str, model: str, times: DocumentTimes
    ) -> SearchDocument:
        """The document, a pure function of its arguments."""
        ...


@dataclass(frozen=True, slots=True)
class Target:
    """Where products go: the vector store, and behind it the documents topic, with the way a document is built."""

    index: VectorIndex
    publisher: DocumentPublisher
    compose: DocumentComposer


@dataclass(frozen=True, slots=True)
class Timing:
    """Time and chance, which a test or a simulation gives: `rng` is for jitter."""

    clock: Clock
    rng: random.Random
    sleep: Sleep = asyncio.sleep


class PartitionControl(Protocol):
    """What a batch may do to its consumer: rewind it, and commit how far it has come."""

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Commit explicit offsets.

        Raises:
            LeaseLostError: the group has rebalanced; another member owns the partitions.
            LogUnavailableError: the group's coordinator did not answer.
        """
        ...

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read these partitions again from these offsets; partitions that are not assigned any more are left alone."""
        ...
