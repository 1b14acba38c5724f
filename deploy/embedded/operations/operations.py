"""The operator's levers over the running system's own parts: nobody else may open its stores."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final

from deploy.embedded.intake.progress import LogProgress, Stage
from deploy.embedded.loop_thread import LoopThread
from deploy.embedded.storage.layout import DataDirectory
from indexer.collection.collector import Collected, TombstoneCollector
from indexer.collection.tombstones import Tombstone
from indexer.deadletters.desk import DeadLetterDesk
from indexer.deadletters.file import DeadLetterFile, FileDeadLetterStore, find_in_journal
from indexer.deadletters.letter import Letter
from indexer.journal.sqlite import SqliteChangeJournal
from indexer.kafka.publisher import KafkaDocumentPublisher
from indexer.pipeline import Pipeline
from indexer.records import TopicPartition
from indexer.replay.checkpoint import ReplayCheckpoint
from indexer.replay.replayer import Replayed, Replayer
from indexer.replay.selection import Selection
from indexer.replay.sources import JournalReplaySource
from indexer.service.clock import SystemClock
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorIndex
from runtime.kafka.log_writer import LogWriter, OutboundRecord
from schemas.errors import NotReadyError
from schemas.events.parser import EventParser
from schemas.identity import SkuKey, TenantId
from schemas.topics import TopicNames

_PAGE: Final = 500


class EmbeddedOperations:
    """Runs on the event loop of the writer and the server; what concerns the pipeline runs on the indexer's."""

    def __init__(
        self,
        *,
        directory: DataDirectory,
        topics: TopicNames,
        writer: LogWriter,
        progress: LogProgress,
        thread: LoopThread,
        pipeline: Pipeline,
        parser: EventParser,
        index: VectorIndex,
        journal: SqliteChangeJournal,
        reader: TextIndexReader,
        dead_letters: DeadLetterFile,
        until_searchable: Callable[[], Awaitable[None]],
        journal_is_read: Callable[[], bool] = lambda: False,
    ) -> None:
        """`journal_is_read` says whether a build reads the journal from its beginning, so that nothing of it may go."""
        self._directory = directory
        self._topics = topics
        self._writer = writer
        self._progress = progress
        self._thread = thread
        self._pipeline = pipeline
        self._parser = parser
        self._index = index
        self._journal = journal
        self._reader = reader
        self._until_searchable = until_searchable
        self._journal_is_read = journal_is_read
        self._clock = SystemClock()
        self._busy = asyncio.Lock()
        self.desk = DeadLetterDesk(
            FileDeadLetterStore(
                dead_letters,
                self._send_again,
                clock=self._clock,
                find_original=partial(find_in_journal, journal),
            )
        )

    async def replay(
        self,
        selection: Selection,
        *,
        asked: str = "",
        apply: bool,
        records_per_s: float | None,
        on_progress: Callable[[Replayed], None],
    ) -> Replayed:
        """Replay from the journal; one at a time. Progress is told from the indexer's thread. `asked` names the request.

        Raises:
            NotReadyError: another replay or collection runs.
            InvalidRequestError: the selection means nothing for a journal.
        """
        replayer = Replayer(
            JournalReplaySource(self._journal),
            self._pipeline,
            self._index,
            self._parser,
            clock=self._clock,
            rng=random.Random(),  # noqa: S311 - jitter, no secret
        )
        checkpoint = ReplayCheckpoint.of(self._directory.replays, selection, asked)
        async with self._alone():
            replayed = await self._thread.call(
                lambda: replayer.run(
                    selection,
                    apply=apply,
                    checkpoint=checkpoint,
                    records_per_s=records_per_s,
                    on_progress=on_progress,
                )
            )
            if apply:
                await self._until_searchable()
            return replayed

    async def collect(
        self, *, older_than_us: int, apply: bool, tenant: TenantId | None, prune_journal: bool
    ) -> tuple[Collected, int]:
        """Collect tombstones last heard of before the journal begins and longer than this ago; also returns the bound (µs).

        With `prune_journal`, applied records older than that are forgotten first: the journal is kept whole otherwise, and
        what it holds could be replayed.
        """
        async with self._alone():
            before_us = self._clock.now_us() - older_than_us
            if prune_journal and apply and self._journal_is_read():
                raise NotReadyError("a generation is being built from the journal; prune it when that has finished")
            if prune_journal and apply:
                await self._journal.prune(logged_before_ms=before_us // 1000)
            oldest_ms = await self._oldest_ms()
            if oldest_ms is not None and not (prune_journal and not apply):
                before_us = min(before_us, oldest_ms * 1000)
            collector = TombstoneCollector(
                self._index,
                _ReplicaTombstones(self._reader),
                KafkaDocumentPublisher(self._writer, self._topics.documents),
                self._republish,
            )
            return await collector.collect(before_us=before_us, apply=apply, tenant=tenant), before_us

    async def _republish(self, keys: Sequence[SkuKey]) -> object:
        return await self._thread.call(lambda: self._pipeline.republish(keys))

    async def _oldest_ms(self) -> int | None:
        async for slice_ in self._journal.read(page=1):
            return slice_.records[0].timestamp_ms
        return None

    async def _send_again(self, letters: Sequence[Letter]) -> None:
        """Changes are durable once they are journalled, documents of `main` once its replica has committed them.

        For nothing else is waited: a generation may have been dropped meanwhile, and aliases are tailed beside us.
        """
        changes: dict[TopicPartition, int] = {}
        documents: dict[TopicPartition, int] = {}
        for letter in letters:
            record = letter.original
            value = b"" if record.value is None and record.key is None else record.value
            again = OutboundRecord(record.key, value, letter.redriven_headers())
            end = await self._writer.append_to(record.topic, record.partition, [again])
            if record.topic in self._topics.consumed:
                changes[record.topic, record.partition] = end
            elif record.topic == self._topics.documents:
                documents[record.topic, record.partition] = end
        await self._progress.reached(Stage.JOURNALLED, changes)
        await self._progress.reached(Stage.READABLE, documents)

    def _alone(self) -> asyncio.Lock:
        if self._busy.locked():
            raise NotReadyError("another replay or collection is running; try again when it has finished")
        return self._busy


class _ReplicaTombstones:
    """Tombstones as the text replica holds them: the embedded broker forgets its topics, the replica does not."""

    def __init__(self, reader: TextIndexReader) -> None:
        self._reader = reader

    async def tombstones(self) -> AsyncIterator[Sequence[Tombstone]]:
        await asyncio.to_thread(self._reader.refresh)
        keys = await asyncio.to_thread(lambda: [key for key, _ in self._reader.revisions()])
        for start in range(0, len(keys), _PAGE):
            held = await asyncio.to_thread(self._reader.fetch, keys[start : start + _PAGE])
            yield [Tombstone(key, one.rev, one.times.indexed_us) for key, one in held.items() if one.deleted]
