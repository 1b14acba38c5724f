"""The writer of a Tantivy text index: batches of documents and the checkpoint they came with, in one commit."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path

import structlog
import tantivy

from retrieval.text.apart.ledger import SetApart, newly_apart
from retrieval.text.apart.reduced import build_each
from retrieval.text.apart.values import NO_NOTES, Apart, LogNotes
from retrieval.text.port import Applied, Checkpoint, newest_by_key
from retrieval.text.settings import TextIndexSettings
from retrieval.text.storage import require_room
from retrieval.text.tantivy_index.compatibility import require_compatible, write_metadata
from retrieval.text.tantivy_index.schema import (
    Field,
    Flag,
    build_schema,
    checkpoint_to_tantivy,
    ledger_to_tantivy,
    to_tantivy,
)
from retrieval.text.tantivy_index.snapshot import Snapshot
from runtime.isolation import Isolation
from schemas.documents import SearchDocument
from schemas.errors import FerrofluxError, IndexInUseError
from schemas.identity import SkuKey

log = structlog.get_logger(__name__)


class TantivyWriter:
    """The one writer of an index directory; holds Tantivy's lock on it. Not thread-safe: one tailer calls it."""

    def __init__(self, settings: TextIndexSettings) -> None:
        """Open the index, or make it.

        Raises:
            IndexInUseError: another writer holds the directory.
            IncompatibleIndexError: another schema, analysis or library version wrote it.
        """
        self._directory = settings.directory
        self._index = _open_or_create(settings.directory)
        self._index.config_reader(reload_policy="manual")
        # One indexing thread: a batch then becomes one segment, and a commit's cost is dominated by its segments.
        self._writer: tantivy.IndexWriter | None = _lock(self._index, settings)
        # What a writer that was killed in mid-commit left: the next commit has the same number, and its files the same names.
        self._writer.garbage_collect_files()
        self._snapshot = self._load()
        self._isolation = Isolation("analyse documents")
        self._set_apart = self._snapshot.set_apart()

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint of the last commit; None for a new index."""
        return self._snapshot.checkpoint()

    def set_apart(self) -> SetApart:
        """What is set apart as of the last commit."""
        return self._set_apart

    def to_try_again(self, limit: int) -> list[SearchDocument]:
        """Stored documents of products that are held without some part, and may be whole with another analyser."""
        return self._snapshot.to_try_again(limit)

    def apply(
        self,
        documents: Sequence[SearchDocument],
        checkpoint: Checkpoint,
        *,
        removed: Collection[SkuKey] = (),
        notes: LogNotes = NO_NOTES,
    ) -> Applied:
        """Write documents, checkpoint and ledger in one atomic commit; a document older than the held revision is dropped.

        What is held of the `removed` products is forgotten first, revision and all.

        Raises:
            DefectError: too many documents could not be analysed; nothing of the batch was committed.
            StorageFullError: the folder has no room for it; the last commit stands, and this writer is of no more use.
        """
        writer = self._open_writer()
        newest = newest_by_key(documents)
        forgotten = frozenset(removed)
        held = self._snapshot.revisions_of([key for key in newest if key not in forgotten])
        fresh = [document for key, document in newest.items() if document.rev >= held.get(key, 0)]
        started = time.perf_counter()
        written: dict[SkuKey, Apart | None] = {}
        try:
            for key in forgotten:
                writer.delete_documents_by_term(Field.KEY, str(key))
            for built in build_each(fresh, notes, to_tantivy, isolation=self._isolation, size=len(newest)):
                key = built.document.key
                if key in held:
                    writer.delete_documents_by_term(Field.KEY, str(key))
                writer.add_document(built.entry)
                written[key] = built.apart
            ledger = self._set_apart.ledger.after(notes, written=written, removed=forgotten)
            if ledger != self._set_apart.ledger:
                writer.delete_documents_by_term(Field.FLAGS, Flag.LEDGER)
                writer.add_document(ledger_to_tantivy(ledger))
            writer.delete_documents_by_term(Field.FLAGS, Flag.CHECKPOINT)
            writer.add_document(checkpoint_to_tantivy(checkpoint))
            writer.commit()
        except FerrofluxError:
            writer.rollback()
            raise
        except Exception as error:
            require_room(self._directory, error)
            writer.rollback()
            raise
        except BaseException:
            writer.rollback()
            raise
        self._snapshot = self._load()
        self._set_apart = self._snapshot.set_apart(ledger)
        applied = Applied(len(fresh), len(documents) - len(fresh), newly_apart(notes, written))
        log.debug(
            "text batch committed",
            written=applied.written,
            outdated=applied.outdated,
            milliseconds=round((time.perf_counter() - started) * 1e3, 1),
            segments=self._snapshot.searcher.num_segments,
        )
        return applied

    def close(self) -> None:
        """Let running merges finish, and let go of the directory. Every `apply` has committed or rolled back already."""
        if self._writer is None:
            return
        self._writer.wait_merging_threads()
        self._writer = None

    def _open_writer(self) -> tantivy.IndexWriter:
        if self._writer is None:
            raise IndexInUseError(f"the text index in {self._directory} was closed. Open a new writer.")
        return self._writer

    def _load(self) -> Snapshot:
        self._index.reload()
        return Snapshot(self._index.searcher())


def _open_or_create(directory: Path) -> tantivy.Index:
    directory.mkdir(parents=True, exist_ok=True)
    if tantivy.Index.exists(str(directory)):
        require_compatible(directory)
        return tantivy.Index.open(str(directory))
    # Metadata first: a crash in between leaves a folder that the next start takes for a new one.
    write_metadata(directory)
    return tantivy.Index(build_schema(), str(directory))


def _lock(index: tantivy.Index, settings: TextIndexSettings) -> tantivy.IndexWriter:
    try:
        return index.writer(settings.heap_mb * 1_000_000, num_threads=1)
    except ValueError as error:
        if "LockBusy" not in str(error):
            raise
        raise IndexInUseError(
            f"another process writes the text index in {settings.directory}. Stop it first, or choose another directory."
        ) from error
