"""What a reconciliation works on: the stores, the log as a truth, and the ways to mend, all opened for one run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from indexer.reconcile.ports import ChangeSink, Republisher
from indexer.records import InboundRecord
from indexer.sources.port import SourceStore
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorIndex
from schemas.documents import SearchDocument


@dataclass(frozen=True, slots=True)
class OpenStores:
    """An installation opened for one reconciliation. `reader` is None where no replica is to be compared."""

    vectors: VectorIndex
    reader: TextIndexReader | None
    history: Callable[[], AsyncIterator[Sequence[InboundRecord]]]
    documents: Callable[[], AsyncIterator[Sequence[SearchDocument]]]
    """The newest document of each product, as the log of documents has it, or the replica where that log is gone."""
    replaced: Callable[[], Awaitable[bool]]
    """Whether the vector store is another one than the offsets speak of."""
    adopt: Callable[[], Awaitable[None]]
    """Take the vector store for the one that the offsets speak of: it was restored."""
    changes: ChangeSink
    republisher: Republisher
    sources: SourceStore
    """Who feeds which facet: the log as a truth is read as the indexers read it."""
