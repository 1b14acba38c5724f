"""The port `Operations` over the running system's own parts: nobody else may open its stores."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from ferroflux.embedded.generations.system import EmbeddedGenerations
from ferroflux.embedded.intake.progress import LogProgress, Stage
from ferroflux.embedded.loop_thread import LoopThread
from ferroflux.embedded.storage.layout import DataDirectory
from ferroflux.operations.direct import DirectOperations, gc_json
from ferroflux.operations.generations.desk import GenerationDesk
from ferroflux.operations.generations.encoder import build_request
from ferroflux.operations.port import BuildBody, Json, JudgedBody, OnProgress, Replay, TombstoneGcRequest
from ferroflux.operations.production import progress_of
from indexer.batch.pipeline import Pipeline
from indexer.deadletters.file import DeadLetterFile, FileDeadLetterStore, find_in_journal
from indexer.deadletters.letter import Letter
from indexer.deadletters.service import DeadLetterService
from indexer.generations.build import BuildProgress
from indexer.journal import SqliteChangeJournal
from indexer.kafka.publisher import KafkaDocumentPublisher
from indexer.records import TopicPartition
from indexer.replay.replayer import ReplayCheckpoint, Replayed, Replayer
from indexer.replay.sources import JournalReplaySource
from indexer.settings import IndexerSettings
from indexer.sources.desk import SourceDesk
from indexer.tombstone_gc import Tombstone, TombstoneGc
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorIndex
from runtime.clock import SystemClock
from runtime.kafka.log_writer import LogWriter, OutboundRecord
from schemas.errors import NotReadyError
from schemas.events.parser import EventParser
from schemas.identity import SkuKey, tenant_id
from schemas.topics import TopicNames

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Inside:
    """The parts of the running system that the operations work on."""

    directory: DataDirectory
    topics: TopicNames
    progress: LogProgress
    thread: LoopThread
    pipeline: Pipeline
    parser: EventParser
    index: VectorIndex
    journal: SqliteChangeJournal
    reader: TextIndexReader
    until_searchable: Callable[[], Awaitable[None]]


class EmbeddedOperations(DirectOperations):
    """Runs on the event loop of the writer and the server; what concerns the pipeline runs on the indexer's."""

    def __init__(
        self,
        inside: Inside,
        writer: LogWriter,
        dead_letters: DeadLetterFile,
        sources: SourceDesk,
        generations: EmbeddedGenerations,
        settings: IndexerSettings,
    ) -> None:
        """A build's request changes `settings`."""
        self._inside = inside
        self._writer = writer
        self._generations = generations
        self._settings = settings
        self._clock = SystemClock()
        self._busy = asyncio.Lock()
        self._sources = sources
        self._dead_letters = DeadLetterService(
            FileDeadLetterStore(
                dead_letters,
                self._send_again,
                clock=self._clock,
                find_original=partial(find_in_journal, inside.journal),
            )
        )

    @property
    def dead_letters(self) -> DeadLetterService:
        """In their file."""
        return self._dead_letters

    @property
    def sources(self) -> SourceDesk:
        """In their file, beside what the mapping file declares."""
        return self._sources

    @property
    def desk(self) -> GenerationDesk:
        """In their file."""
        return self._generations.desk

    async def replay(self, asked: Replay, on_progress: OnProgress) -> Json:
        """Replay from the journal; one at a time. Progress is told from the indexer's thread.

        Raises:
            NotReadyError: another replay or collection runs.
            InvalidRequestError: the selection means nothing for a journal.
        """
        selection, inside = asked.to_selection(), self._inside
        replayer = Replayer(
            JournalReplaySource(inside.journal),
            inside.pipeline,
            inside.index,
            inside.parser,
            clock=self._clock,
            rng=random.Random(),  # noqa: S311 - jitter, no secret
        )
        checkpoint = ReplayCheckpoint.of(inside.directory.replays, selection, asked.asked)
        on_progress(Replayed().to_json())
        async with self._alone():
            if asked.restart:
                checkpoint.clear()
            replayed = await inside.thread.call(
                lambda: replayer.run(
                    selection,
                    apply=asked.apply,
                    checkpoint=checkpoint,
                    records_per_s=asked.records_per_s,
                    on_progress=lambda so_far: on_progress(so_far.to_json()),
                )
            )
            if asked.apply:
                await inside.until_searchable()
            return {**replayed.to_json(), "done": True}

    async def tombstone_gc(self, asked: TombstoneGcRequest) -> Json:
        """Collect tombstones last heard of before the journal begins.

        With `prune_journal`, applied records older than that are forgotten first: the journal is kept whole otherwise, and
        what it holds could be replayed.
        """
        prune, inside = asked.prune_journal, self._inside
        async with self._alone():
            before_us = self._clock.now_us() - int(asked.older_than_s * 1e6)
            if prune and asked.apply and self._generations.is_building:
                raise NotReadyError("a generation is being built from the journal; prune it when that has finished")
            if prune and asked.apply:
                await inside.journal.prune(logged_before_ms=before_us // 1000)
            oldest_ms = await self._oldest_ms()
            if oldest_ms is not None and not (prune and not asked.apply):
                before_us = min(before_us, oldest_ms * 1000)
            gc = TombstoneGc(
                inside.index,
                _ReplicaTombstones(inside.reader),
                KafkaDocumentPublisher(self._writer, inside.topics.documents),
                self._republish,
            )
            tenant = tenant_id(asked.tenant) if asked.tenant else None
            return gc_json(await gc.run(before_us=before_us, apply=asked.apply, tenant=tenant), before_us)

    async def build(self, asked: BuildBody, on_progress: OnProgress) -> Json:
        """From the journal, or from the stores where it was pruned; one at a time."""
        request = build_request(self._settings, asked)
        on_progress(progress_of(BuildProgress("opening", 0.0, "")))
        built = await self._generations.build(request, lambda progress: on_progress(progress_of(progress)))
        return built.to_json()

    async def drop(self, name: str, judged: JudgedBody) -> Json:
        """Checked before anything is written: `main` stays, and so does what is being built."""
        self._generations.require_droppable(name)
        return await DirectOperations.drop(self, name, judged)

    async def _republish(self, keys: Sequence[SkuKey]) -> object:
        return await self._inside.thread.call(lambda: self._inside.pipeline.republish(keys))

    async def _oldest_ms(self) -> int | None:
        async for slice_ in self._inside.journal.read(page=1):
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
            if record.topic in self._inside.topics.consumed:
                changes[record.topic, record.partition] = end
            elif record.topic == self._inside.topics.documents:
                documents[record.topic, record.partition] = end
        await self._inside.progress.reached(Stage.JOURNALLED, changes)
        await self._inside.progress.reached(Stage.READABLE, documents)

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
