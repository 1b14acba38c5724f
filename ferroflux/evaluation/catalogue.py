"""A catalogue file to search documents, by the way of every change: rows, canonical events, merge, document, vector.

The pipeline is the indexer's own; only its edges are in memory. What comes out is kept as JSON lines, one document each.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson
import structlog

from ferroflux.ingest.columns import FIELDS, ColumnMapping
from ferroflux.ingest.convert import Converted, RowConverter
from ferroflux.ingest.rows import Row, RowSource, UnreadableRow
from indexer.batch.embedding import Embedding, OffLoopEncoder
from indexer.batch.pipeline import Intake, Pipeline
from indexer.batch.settling import PipelineLimits
from indexer.ports import Published, Target, Timing
from indexer.records import DeadLetter, InboundRecord
from retrieval.encoders.port import TextEncoder
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.spaces import spaces_of
from runtime.clock import SystemClock
from schemas.documents import SearchDocument
from schemas.errors import ConfigurationError
from schemas.events.parser import EventParser
from schemas.product.building import build_document

log = structlog.get_logger(__name__)

DOCUMENTS_FILE: Final = "documents.jsonl"
DEFAULT_TENANT: Final = "catalogue"
"""Tenant of rows that name none."""

_BATCH_ROWS: Final = 1_000
_EMBED_CHUNK: Final = 256
_ALWAYS: Final = frozenset({"sku", "tenant"})

OnProgress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class CatalogueSource:
    """A catalogue file and how it is read.

    `fields` are the fields that are taken (empty: all), so that systems can be compared on titles alone, say; `maps` are
    `field=column` pairs as in `ferroflux ingest`.
    """

    path: Path
    fields: frozenset[str] = frozenset()
    maps: tuple[str, ...] = ()
    tenant: str = DEFAULT_TENANT

    def __post_init__(self) -> None:
        unknown = sorted(self.fields - set(FIELDS))
        if unknown:
            raise ConfigurationError(f"there is no field {unknown[0]!r}; the fields are {', '.join(FIELDS)}")


@dataclass(slots=True)
class _Sink:
    """Both outlets of the pipeline: documents by key in their newest revision, and dead letters."""

    documents: dict[str, SearchDocument] = field(default_factory=dict)
    letters: list[DeadLetter] = field(default_factory=list)

    async def publish(self, documents: Sequence[SearchDocument]) -> Published:
        self.documents.update((str(document.key), document) for document in documents)
        return Published()

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        self.letters.extend(letters)


async def index_catalogue(
    source: CatalogueSource, encoder: TextEncoder, on_progress: OnProgress
) -> list[SearchDocument]:
    """Take a catalogue through the pipeline; the living documents, by key.

    Raises:
        ConfigurationError: the file cannot be read, or holds no product.
    """
    sink = _Sink()
    index = MemoryIndex()
    await index.prepare(spaces_of(encoder.revision))
    with ThreadPoolExecutor(1, thread_name_prefix="evaluation-encode") as executor:
        pipeline = Pipeline(
            Target(index, sink, build_document),
            Embedding(OffLoopEncoder(encoder, executor)),
            Timing(SystemClock(), random.Random(0)),  # noqa: S311 - jitter of retries that one writer never needs
            Intake(EventParser(default_tenant=source.tenant), sink),
            PipelineLimits(embed_chunk=_EMBED_CHUNK),
        )
        rows = RowSource(source.path)
        records = _records(rows, source)
        while batch := await asyncio.to_thread(lambda: list(itertools.islice(records, _BATCH_ROWS))):
            await pipeline.process(batch)
            on_progress(rows.fraction, f"{len(sink.documents):,} products")
    if sink.letters:
        log.warning("rows were not taken", count=len(sink.letters), first=sink.letters[0].detail)
    living = sorted((each for each in sink.documents.values() if not each.deleted), key=lambda document: document.key)
    if not living:
        raise ConfigurationError(f"{source.path} holds no product that could be taken; `ferroflux ingest` says why")
    return living


def write_documents(documents: Sequence[SearchDocument], path: Path) -> None:
    """Keep documents, one JSON object a line."""
    path.write_bytes(b"".join(document.to_bytes() + b"\n" for document in documents))


def read_documents(path: Path) -> list[SearchDocument]:
    """Read what `write_documents` kept."""
    with path.open("rb") as lines:
        return [SearchDocument.model_validate(orjson.loads(line)) for line in lines]


def _records(rows: RowSource, source: CatalogueSource) -> Iterator[InboundRecord]:
    converter = RowConverter(ColumnMapping.of(source.maps), first_sequence=1, tenant=source.tenant)
    offset = 0
    rejected = 0
    for number, row in enumerate(rows):
        converted = converter.convert(_narrowed(row, converter, source.fields), number)
        if not isinstance(converted, Converted):
            rejected += 1
            if rejected == 1:
                log.warning("a row was not taken", line=converted.line, reason=converted.reason)
            continue
        for change in converted.changes:
            yield InboundRecord("evaluation", 0, offset, 0, change.key, change.value)
            offset += 1


def _narrowed(row: Row | UnreadableRow, converter: RowConverter, fields: frozenset[str]) -> Row | UnreadableRow:
    """The row with the wanted fields only; columns that are no field belong to the attributes."""
    if not fields or isinstance(row, UnreadableRow):
        return row
    resolved = converter.columns(tuple(row.cells))
    kept = {column for name, column in resolved.columns.items() if name in fields | _ALWAYS}
    if "attributes" in fields:
        kept.update(resolved.extra)
    return Row(row.line, {column: cell for column, cell in row.cells.items() if column in kept})
