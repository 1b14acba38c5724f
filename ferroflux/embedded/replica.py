"""The text replica of one generation: writer, reader, the tailer between the log and them, and the log's pace.

The broker keeps 5 MB a partition. The replica reads thousands of documents a second and is nearly always ahead. Where it is
not (a burst of price changes of products with long texts), an indexer that went on would push documents out of the broker
before they are read: `PacedPublisher` waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ferroflux.embedded.broker import PARTITION_CAP_BYTES
from ferroflux.embedded.intake.progress import LogEnds, LogProgress, RecordStage, WatchedWriter
from indexer.deadletters.file import DeadLetterFile
from indexer.ports import DocumentPublisher, Published
from query_api.replica.tailing.letters import LetterBox, ReplicaLetter
from query_api.replica.tailing.log import DocumentLog
from query_api.replica.tailing.tailer import ReplicaTailer
from retrieval.serving.replica_status import STATUS_FILE
from retrieval.text.factory import open_reader, open_writer
from retrieval.text.port import TextIndexReader, TextIndexWriter
from retrieval.text.settings import TextIndexSettings
from runtime.retry import Backoff, BackoffPolicy
from schemas.documents import SearchDocument
from schemas.errors import PoisonError
from schemas.identity import SkuKey
from schemas.topics import LARGEST_RECORD_BYTES


@dataclass(slots=True)
class EmbeddedReplica:
    """`open` it, let a supervisor `run` it (again, where a run failed: each opens the writer anew), `close` it at last."""

    settings: TextIndexSettings
    topic: str
    progress: LogProgress
    open_log: Callable[[], DocumentLog]
    backoff: BackoffPolicy
    letters: LetterBox
    reader: TextIndexReader = field(init=False)
    is_new: bool = field(init=False)
    """Whether there was no index, or one that had not begun."""
    _former_log: str = ""
    _writer: TextIndexWriter | None = None
    _tailer: ReplicaTailer | None = None
    _asked: bool = False

    async def open(self) -> None:
        """Open writer and reader.

        Raises:
            FatalError: the index on disk does not fit.
        """
        self._writer = await asyncio.to_thread(open_writer, self.settings)
        checkpoint = self._writer.checkpoint()
        self.is_new = checkpoint is None
        self._former_log = "" if checkpoint is None else checkpoint.log_id
        self.reader = open_reader(self.settings)

    @property
    def not_ready(self) -> str | None:
        """What the replica waits for; None when it is whole and follows the log."""
        return "the index is being opened" if self._tailer is None else self._tailer.not_ready

    @property
    def is_reported(self) -> bool:
        """Whether it is whole and its report lies beside it: then a search worker takes it for whole."""
        return not self.not_ready and (self.settings.directory / STATUS_FILE).exists()

    async def run(self) -> None:
        """Follow the log until it is asked to end; raises what ended it before."""
        writer, self._writer = self._writer, None
        if writer is None:
            writer = await asyncio.to_thread(open_writer, self.settings)
        try:
            tailer = self._tailer = ReplicaTailer(
                WatchedWriter(writer, self.topic, self.progress, former_log=self._former_log),
                self.open_log,
                topic=self.topic,
                report_to=self.settings.directory,
                backoff=Backoff(self.backoff),
                letters=self.letters,
            )
            if self._asked:
                tailer.request_stop()
            await tailer.run()
        finally:
            self._tailer = None
            await asyncio.to_thread(writer.close)

    def ask_to_end(self) -> None:
        """Let `run` return when the commit that runs is done."""
        self._asked = True
        if self._tailer is not None:
            self._tailer.request_stop()

    async def close(self) -> None:
        """Let go of what no run has taken over."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await asyncio.to_thread(writer.close)


LARGEST_BYTES: Final = PARTITION_CAP_BYTES // 4
"""The largest document or dead letter that goes through the broker: it must not push out what stands before it."""

WAIT_EVERY_BYTES: Final = PARTITION_CAP_BYTES // 2
"""Even if every document went to one partition, half of its room is left for the next call."""


class PacedPublisher:
    """A `DocumentPublisher` that lets the replica catch up before the broker could forget what it has not read."""

    def __init__(self, publisher: DocumentPublisher, documents: LogEnds, progress: LogProgress) -> None:
        self._publisher = publisher
        self._documents = documents
        self._progress = progress
        self._unread_bytes = 0
        self._counting = asyncio.Lock()

    async def publish(self, documents: Sequence[SearchDocument]) -> Published:
        """Append documents in order, in portions that the broker can hold; one call at a time, or their sum would not be."""
        async with self._counting:
            return await self._publish(documents)

    async def _publish(self, documents: Sequence[SearchDocument]) -> Published:
        refused: dict[SkuKey, PoisonError] = {}
        incomplete = 0
        portion: list[SearchDocument] = []
        for document in documents:
            size = len(document.to_bytes())
            if self._unread_bytes + size > WAIT_EVERY_BYTES and (portion or self._unread_bytes):
                published = await self._publisher.publish(portion)
                refused |= published.refused
                incomplete += published.incomplete
                portion = []
                await self._documents.reached(self._progress, RecordStage.READABLE)
                self._unread_bytes = 0
            portion.append(document)
            self._unread_bytes += size
        published = await self._publisher.publish(portion)
        return Published({**refused, **published.refused}, incomplete + published.incomplete)


class KeptLetterBox:
    """A `LetterBox` that keeps letters in the file before it passes them on."""

    def __init__(self, file: DeadLetterFile, onward: LetterBox) -> None:
        self._file = file
        self._onward = onward

    async def send(self, letters: Sequence[ReplicaLetter]) -> None:
        """Keep and pass on; durable when it returns."""
        await self._file.append([letter.fitting(LARGEST_RECORD_BYTES) for letter in letters])
        await self._onward.send(letters)
