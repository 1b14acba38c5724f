"""Indexing a catalogue for evaluation: documents, vectors and text index, each built once and kept by what it is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Final

from ferroflux.evaluation.cache import built_once, combined_digest, content_digest, source_digest
from ferroflux.evaluation.catalogue import (
    DOCUMENTS_FILE,
    CatalogueSource,
    OnProgress,
    index_catalogue,
    read_documents,
    write_documents,
)
from indexer.batch.embedding import OffLoopEncoder
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import EncoderSettings
from retrieval.filters import filter_values
from retrieval.passages import TEMPLATE, passage_text
from retrieval.text.factory import open_reader, open_writer
from retrieval.text.port import Checkpoint, TextIndexReader
from retrieval.text.settings import FieldWeights, TextIndexSettings
from retrieval.vectors.port import PointPayload, PointWrite
from retrieval.vectors.spaces import TEXT_VECTOR, Provenance, spaces_of
from schemas.documents import SearchDocument
from training.systems.cached_encoders import CachedEncoder
from training.systems.indexed_catalogue import IndexedCatalogue, MatrixIndex

_DOCUMENT_CODE: Final = (
    "schemas.catalogue", "schemas.normalisers", "schemas.documents", "schemas.product", "schemas.events", "retrieval.passages",
    "indexer.batch", "ferroflux.ingest", "ferroflux.evaluation.catalogue",
)  # fmt: skip
"""What decides a document."""
_TEXT_CODE: Final = ("retrieval.analysis", "retrieval.text")
"""What decides the text index over given documents."""
_COMMIT_DOCUMENTS: Final = 20_000


def indexed_catalogue(
    source: CatalogueSource,
    encoder_settings: EncoderSettings,
    cache_dir: Path,
    on_progress: OnProgress,
    *,
    encoder: TextEncoder | None = None,
) -> IndexedCatalogue:
    """The catalogue's indexes; minutes the first time, seconds after.

    Passages are embedded in batches of similar length on all processors; an interrupted embedding goes on where it was.

    Raises:
        ConfigurationError: the file cannot be read or holds no product, or the cache cannot be written.
    """
    cached = CachedEncoder(encoder or load_encoder(encoder_settings), cache_dir / "vectors")
    digest = combined_digest(
        content_digest(source.path),
        source.path.suffix,
        *sorted(source.fields),
        "|".join(source.maps),
        source.tenant,
        cached.revision.id,
        TEMPLATE,
        source_digest(*_DOCUMENT_CODE),
    )
    folder = built_once(
        cache_dir / "documents" / digest, lambda draft: _build_documents(draft, source, cached, on_progress)
    )
    documents = read_documents(folder / DOCUMENTS_FILE)
    text_digest = combined_digest(digest, source_digest(*_TEXT_CODE), version("tantivy"))
    text_folder = built_once(cache_dir / "text" / text_digest, lambda draft: _build_text(draft, documents))
    vectors = asyncio.run(_vectors(documents, cached))
    cached.flush()

    def reader(weights: FieldWeights) -> TextIndexReader:
        return open_reader(TextIndexSettings(directory=text_folder / "index", weights=weights))

    return IndexedCatalogue(
        name=_name(source.path),
        digest=digest,
        documents={document.key: document for document in documents},
        vectors=vectors,
        encoder=cached,
        open_reader=reader,
    )


def _build_documents(draft: Path, source: CatalogueSource, encoder: CachedEncoder, on_progress: OnProgress) -> None:
    try:
        documents = asyncio.run(index_catalogue(source, encoder, on_progress))
    finally:
        encoder.flush()
    write_documents(documents, draft / DOCUMENTS_FILE)


def _build_text(draft: Path, documents: Sequence[SearchDocument]) -> None:
    writer = open_writer(TextIndexSettings(directory=draft / "index", heap_mb=128))
    try:
        for start in range(0, len(documents), _COMMIT_DOCUMENTS):
            batch = documents[start : start + _COMMIT_DOCUMENTS]
            writer.apply(batch, Checkpoint("evaluation", {0: start + len(batch)}))
    finally:
        writer.close()


async def _vectors(documents: Sequence[SearchDocument], encoder: CachedEncoder) -> MatrixIndex:
    index = MatrixIndex()
    await index.prepare(spaces_of(encoder.revision))
    with ThreadPoolExecutor(1, thread_name_prefix="evaluation-encode") as executor:
        passages, encoders = [passage_text(document) for document in documents], OffLoopEncoder(encoder, executor)
        by_space = {space: await encoders.encode(space, passages) for space in encoders.spaces}
    await index.write(
        [
            PointWrite(document.key, None, _payload(document), {space: rows[row] for space, rows in by_space.items()})
            for row, document in enumerate(documents)
        ]
    )
    return index


def _payload(document: SearchDocument) -> PointPayload:
    """What a search needs of a point; the merged state stays behind, since nothing is written here."""
    return PointPayload(
        rev=document.rev,
        alive=not document.deleted,
        state=b"{}",
        provenance={TEXT_VECTOR: Provenance(document.text_hash, document.model)},
        filterable=filter_values(document),
    )


def _name(path: Path) -> str:
    stem = path.name.split(".")[0]
    return path.resolve().parent.name if stem == "products" else stem
