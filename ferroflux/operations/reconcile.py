"""Reconciling: the stores of a production installation (a Qdrant server, the replica on this machine, Kafka), which goes on running, and a catalogue file as the source of truth."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Final

import orjson
import structlog
from pydantic import ValidationError

from ferroflux.ingest.columns import ColumnMapping
from ferroflux.ingest.convert import Rejected, RowConverter
from ferroflux.ingest.rows import Row, RowSource
from indexer.batch.publishing import StoredDocuments
from indexer.kafka.publisher import KafkaDocumentPublisher
from indexer.kafka.reader import KafkaReader
from indexer.ports import Target
from indexer.process.bootstrap import offset_guard
from indexer.reconcile.ports import NO_DOCUMENTS, ChangeSink, Republisher
from indexer.records import InboundRecord
from indexer.settings import IndexerSettings
from indexer.sources.kafka import KafkaSourceStore
from indexer.sources.port import SourceStore
from query_api.settings import TextSettings
from retrieval.text.factory import open_reader
from retrieval.text.port import TextIndexReader
from retrieval.text.tantivy_index.commit_files import holds_index
from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.settings import VectorStoreKind
from runtime.clock import SystemClock
from runtime.kafka.log_writer import LogWriter, OutboundRecord
from runtime.kafka.topic_identity import TopicIds
from schemas.documents import SearchDocument
from schemas.errors import ConfigurationError
from schemas.events.canonical import encode_event, parse_canonical
from schemas.identity import tenant_id
from schemas.mapping.loading import load_mapping
from schemas.product.building import build_document
from schemas.product.changes import ITEM_FACET, ChangeEvent
from schemas.product.sources import OPERATOR_SOURCE
from schemas.topics import KafkaSettings
from schemas.version import SourceVersion

log = structlog.get_logger(__name__)

_PAGE: Final = 500


@asynccontextmanager
async def production_stores(
    settings: IndexerSettings, text: TextSettings, *, with_replica: bool
) -> AsyncIterator[OpenStores]:
    """Open the stores that the settings name.

    Raises:
        ConfigurationError: the vector store is Edge, or there is no replica on this machine.
        StoreUnavailableError, LogUnavailableError: a server does not answer.
    """
    if settings.vectors.kind is VectorStoreKind.EDGE:
        raise ConfigurationError(
            "FERROFLUX_VECTORS__KIND is edge, which one process owns: stop `ferroflux up` and name its folder with "
            "--data-dir, or set FERROFLUX_VECTORS__KIND=qdrant and FERROFLUX_VECTORS__URL"
        )
    if with_replica and not holds_index(text.directory):
        raise ConfigurationError(
            f"there is no text replica in {text.directory}: run beside one (FERROFLUX_TEXT__DIRECTORY), or --no-replica"
        )
    reader = open_reader(text.index) if with_replica else None
    mapping = load_mapping(settings.mapping, settings.default_tenant)
    vectors = await open_vector_index(settings.vectors)
    writer = LogWriter(settings.kafka)
    guard = offset_guard(settings, vectors, TopicIds(settings.kafka))
    try:
        yield OpenStores(
            vectors=vectors,
            reader=reader,
            history=partial(_history, settings.kafka),
            documents=partial(newest_documents, settings.kafka),
            replaced=guard.replaced,
            adopt=guard.adopt,
            changes=KafkaChanges(writer, settings.kafka.topics.changes[0]),
            republisher=StoredDocuments(
                Target(
                    vectors,
                    KafkaDocumentPublisher(writer, settings.kafka.topics.documents),
                    partial(build_document, policy=mapping.policy),
                ),
                SystemClock(),
            ),
            sources=KafkaSourceStore(settings.kafka),
        )
    finally:
        await writer.stop()
        await vectors.close()


class KafkaChanges:
    """The port `ChangeSink` on the change topic."""

    def __init__(self, writer: LogWriter, topic: str) -> None:
        self._writer = writer
        self._topic = topic

    async def send(self, events: Sequence[ChangeEvent]) -> None:
        """Append events in canonical form."""
        await self._writer.append(
            self._topic,
            [OutboundRecord(event.key.kafka_key, encode_event(event, OPERATOR_SOURCE), []) for event in events],
        )


async def _history(kafka: KafkaSettings) -> AsyncIterator[Sequence[InboundRecord]]:
    async with KafkaReader(kafka) as reader:
        places = await reader.partitions(kafka.topics.consumed)
        begins, ends = await reader.begins(places), await reader.ends(places)
        async for records in reader.read(begins, ends, page=_PAGE):
            yield records


async def newest_documents(kafka: KafkaSettings) -> AsyncIterator[Sequence[SearchDocument]]:
    """The last document of each product in the documents topic, which is read twice: memory holds some bytes a product."""
    async with KafkaReader(kafka) as reader:
        places = await reader.partitions([kafka.topics.documents])
        begins, ends = await reader.begins(places), await reader.ends(places)
        last: dict[bytes, tuple[int, int]] = {}
        async for records in reader.read(begins, ends, page=_PAGE):
            last.update((_digest(record), (record.partition, record.offset)) for record in records)
        async for records in reader.read(begins, ends, page=_PAGE):
            newest = [one for one in records if last.get(_digest(one)) == (one.partition, one.offset)]
            yield [document for one in newest if (document := _document(one)) is not None]


def _digest(record: InboundRecord) -> bytes:
    return blake2b(record.key or b"", digest_size=8).digest()


def _document(record: InboundRecord) -> SearchDocument | None:
    if record.value is None:
        return None
    try:
        return SearchDocument.model_validate_json(record.value)
    except ValidationError as error:
        log.warning(
            "record of the documents topic is no document", at=record.coordinates, reason=str(error.errors()[:1])
        )
        return None


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


class CatalogueRows:
    """One file. `versioned` where the rows give their own versions (a sequence column)."""

    exact = True
    facets: frozenset[str] = frozenset({ITEM_FACET})
    documents = NO_DOCUMENTS
    read_at: SourceVersion | None = None

    def __init__(
        self, file: Path, columns: ColumnMapping, *, tenant: str = "", currency: str = "", decimal_comma: bool = False
    ) -> None:
        """Open the file and look at its first row.

        Raises:
            ConfigurationError: there is no such file, or it is of no known format.
        """
        self._source = RowSource(file)
        self._converter = RowConverter(columns, 0, tenant=tenant, currency=currency, decimal_comma=decimal_comma)
        self._default_tenant = tenant_id(tenant or "default")
        self.rejected = 0
        self.name = file.name
        first = next((row for row in self._source if isinstance(row, Row)), None)
        names = () if first is None else tuple(first.cells)
        self.versioned = "sequence" in self._converter.columns(names).columns

    async def pages(self) -> AsyncIterator[Sequence[ChangeEvent]]:
        """The rows in the file's order."""
        pages = self._pages()
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            yield page

    def _pages(self) -> Iterator[list[ChangeEvent]]:
        rows = iter(self._source)
        while chunk := list(itertools.islice(rows, _PAGE)):
            events: list[ChangeEvent] = []
            for row in chunk:
                converted = self._converter.convert(row, 0)
                if isinstance(converted, Rejected):
                    self.rejected += 1
                    log.warning("row of the catalogue cannot be read", line=converted.line, reason=converted.reason)
                    continue
                events.extend(
                    parse_canonical(orjson.loads(change.value), self._default_tenant) for change in converted.changes
                )
            yield events
