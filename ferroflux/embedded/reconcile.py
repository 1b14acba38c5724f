"""Reconciling a stopped `ferroflux up`: its stores are one process's own, so this is that process meanwhile.

A repair takes the way of every change: corrective events are appended to the journal as not yet applied, and the next
start sends them through the pipeline. Where only the replica lags, the folder is left marked as not cleanly stopped, and
the next start compares the two stores and publishes what differs.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from ferroflux.data_directory import DataDirectory, Ownership
from ferroflux.operations.reconcile import OpenStores
from indexer.journal import SqliteChangeJournal
from indexer.records import InboundRecord, LogId
from indexer.settings import IndexerSettings
from indexer.sources.file import FileSourceStore
from retrieval.text.factory import open_reader
from retrieval.text.memory import MemoryTextReader, MemoryTextStore
from retrieval.text.port import TextIndexReader
from retrieval.text.settings import TextIndexSettings
from retrieval.text.tantivy_index.commit_files import holds_index
from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.settings import VectorStoreKind
from runtime.clock import SystemClock
from schemas.documents import SearchDocument
from schemas.errors import ConfigurationError
from schemas.events.canonical import encode_event
from schemas.identity import SkuKey
from schemas.product.changes import ChangeEvent
from schemas.product.sources import OPERATOR_SOURCE

_PAGE: Final = 500


@asynccontextmanager
async def embedded_stores(
    directory: DataDirectory, settings: IndexerSettings, *, with_replica: bool
) -> AsyncIterator[OpenStores]:
    """Take the data directory of a system that was stopped in order.

    Raises:
        ConfigurationError: there is none, it runs, or it was not stopped in order.
    """
    require_stopped(directory)
    ownership = Ownership.take(directory)
    marked = _Marked()
    try:
        journal = SqliteChangeJournal.open(directory.journal)
        vectors = await EdgeIndex.open(
            settings.vectors.model_copy(update={"kind": VectorStoreKind.EDGE, "directory": directory.vectors})
        )
        try:
            yield OpenStores(
                vectors=vectors,
                reader=_replica(directory) if with_replica else None,
                history=partial(_history, journal),
                documents=partial(_documents, directory),
                replaced=_never,
                adopt=_nothing,
                changes=JournalledChanges(journal, settings.kafka.topics.changes[0]),
                republisher=marked,
                sources=FileSourceStore(directory.sources, SystemClock()),
            )
        finally:
            await vectors.close()
            await journal.close()
    finally:
        ownership.release(clean=not marked.products)


def require_stopped(directory: DataDirectory) -> None:
    """Check that the folder is an installation whose last run was stopped in order.

    How the last run ended decides what the next start has to apply again, and taking the folder would overwrite it.

    Raises:
        ConfigurationError: it is not.
    """
    if not directory.journal.exists():
        raise ConfigurationError(f"{directory.root} is no folder of a `ferroflux up`")
    if directory.running.exists():
        raise ConfigurationError(
            f"the `ferroflux up` over {directory.root} runs, or was not stopped in order: stop it with Ctrl-C, or start "
            "it once, which mends what the last stop left, and stop it then"
        )


class JournalledChanges:
    """The port `ChangeSink` on the journal: a log of its own, none of which is applied yet."""

    def __init__(self, journal: SqliteChangeJournal, topic: str) -> None:
        self._journal = journal
        self._topic = topic
        self._log_id = LogId(f"reconcile-{secrets.token_hex(8)}")
        self._offset = 0

    async def send(self, events: Sequence[ChangeEvent]) -> None:
        """Append events; the next start applies them."""
        now_ms = SystemClock().now_us() // 1000
        records = [
            InboundRecord(
                self._topic,
                0,
                self._offset + place,
                now_ms,
                event.key.kafka_key,
                encode_event(event, OPERATOR_SOURCE),
                (),
            )
            for place, event in enumerate(events)
        ]
        await self._journal.append(self._log_id, records)
        self._offset += len(records)


class _Marked:
    """The port `Republisher`: leaves it to the next start, which compares the stores where the folder is marked."""

    def __init__(self) -> None:
        self.products = 0

    async def republish(self, keys: Sequence[SkuKey]) -> None:
        """Note that there is something to compare."""
        self.products += len(keys)

    async def overtake(self, revisions: Mapping[SkuKey, int]) -> None:
        """Note that there is something to compare; the next start lifts the points, too."""
        self.products += len(revisions)


def _replica(directory: DataDirectory) -> TextIndexReader:
    """The folder's replica; one that holds nothing where there is none, so that all of it counts as missing."""
    if not holds_index(directory.text):
        return MemoryTextReader(MemoryTextStore())
    return open_reader(TextIndexSettings(directory=directory.text))


async def _history(journal: SqliteChangeJournal) -> AsyncIterator[Sequence[InboundRecord]]:
    async for page in journal.read():
        yield page.records


async def _documents(directory: DataDirectory) -> AsyncIterator[Sequence[SearchDocument]]:
    """What the replica holds: the topic between the stores ends with the process."""
    reader = _replica(directory)
    keys = [key for key, _ in reader.revisions()]
    for start in range(0, len(keys), _PAGE):
        yield list(reader.fetch(keys[start : start + _PAGE]).values())


async def _never() -> bool:
    return False  # the next start lifts what fell behind


async def _nothing() -> None:
    """A start notes by itself which vector index its journal's watermarks are of."""
