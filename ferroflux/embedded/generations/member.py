"""One generation inside the system: its stores, its pipeline on the indexer's thread, its replica's tailer, its follower."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Unpack

from ferroflux.embedded.broker import EmbeddedBroker
from ferroflux.embedded.generations.follower import FOLLOWER_BACKOFF, JournalFollower, LeftToMain, PlaceFile
from ferroflux.embedded.intake.progress import LogEnds, LogProgress, RecordStage
from ferroflux.embedded.loop_thread import LoopThread
from ferroflux.embedded.recovery import MARKER, reconcile, respell_once
from ferroflux.embedded.replica import LARGEST_BYTES, EmbeddedReplica, PacedPublisher
from ferroflux.embedded.settings import EmbeddedSettings
from indexer.batch.caching import CachingEncoder
from indexer.batch.embedding import Embedding, VectorReuse
from indexer.batch.pipeline import Intake, Pipeline
from indexer.batch.settling import PipelineLimits, Settler
from indexer.deadletters.file import DeadLetterFile, KeptDeadLetterSink
from indexer.generations.backfill import Backfill
from indexer.generations.build import OnProgress, backfill_progress
from indexer.journal import SqliteChangeJournal
from indexer.kafka.publisher import KafkaDeadLetterSink, KafkaDocumentPublisher
from indexer.ports import DocumentRemover, Target, Timing
from indexer.respelling import Respeller
from query_api.replica.tailing.kafka import KafkaDocumentLog
from query_api.replica.tailing.letters import LetterBox
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.sharing import Urgency, on_behalf_of
from retrieval.generations.fitting import vector_settings
from retrieval.serving.parts import HeldParts
from retrieval.vectors.contents import ContentVectors
from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.self_check import open_collection
from runtime.clock import SystemClock
from runtime.kafka.log_writer import LogWriter
from runtime.supervision import Options, RunningTask, Supervisor, Work
from schemas.errors import NotReadyError
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from schemas.product.building import DocumentPolicy, build_document
from schemas.records.generations import Generation, Origin

_LOOK_AGAIN_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the system gives to each of its generations. `trusted`: the last stop was in order, so places on disk are true."""

    folder: Path
    settings: EmbeddedSettings
    broker: EmbeddedBroker
    journal: SqliteChangeJournal
    progress: LogProgress
    thread: LoopThread
    parser: EventParser
    policy: DocumentPolicy
    main: VectorIndex
    contents: ContentVectors | None
    letters: LetterBox
    machine_went_down: bool
    stores_may_differ: bool
    supervisor: Supervisor
    dead_letters: DeadLetterFile


@dataclass(slots=True)
class GenerationMember:
    """A generation that is open. `open` builds it, `close` ends it in order. `is_live` says whether searches are answered from it."""

    manifest: Generation
    encoder: TextEncoder
    around: Surroundings
    is_live: Callable[[], bool]
    reuse: VectorReuse | None = None
    contents: ContentVectors | None = None
    vectors: EdgeIndex = field(init=False)
    replica: EmbeddedReplica = field(init=False)
    _pipeline: Pipeline = field(init=False)
    _letters: LeftToMain = field(init=False)
    _unseeded: Counter[str] = field(init=False, default_factory=Counter)
    _target: Target = field(init=False)
    _remover: DocumentRemover = field(init=False)
    _embedding: Embedding = field(init=False)
    _timing: Timing = field(init=False)
    _limits: PipelineLimits = field(init=False)
    _documents: LogEnds = field(init=False)
    _follower: JournalFollower | None = None
    _tasks: list[RunningTask] = field(default_factory=list)
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def folder(self) -> Path:
        """Everything of it lies here."""
        return self.around.folder / self.manifest.identity

    @property
    def _place(self) -> PlaceFile:
        return PlaceFile(self.folder / "place.json")

    @property
    def after(self) -> int:
        """The place in the journal up to which its stores are true."""
        return 0 if self._follower is None else self._follower.after

    async def open(self) -> None:
        """Open stores, replica and pipeline; nothing is followed yet.

        Raises:
            FatalError: the encoder or the index on disk does not fit.
        """
        try:
            await self._open_vectors()
            await self._open_replica()
            await self._open_pipeline()
        except BaseException:
            await self.close()
            raise

    async def follow(self, on_progress: OnProgress) -> None:
        """Seed where the journal does not reach back and that was not done, then follow the journal from our place."""
        around = self.around
        after = await asyncio.to_thread(self._place.read)
        if after is None:
            after = self.manifest.starts.get("journal", 0)
            if self.manifest.origin is Origin.DOCUMENTS:
                await around.thread.call(lambda: self._seed(on_progress))
        if around.stores_may_differ:
            await self._compare()
        if await around.thread.call(lambda: respell_once(self.folder / MARKER, self._respeller())):
            await self._documents.reached(around.progress, RecordStage.READABLE)
        follower = self._follower = JournalFollower(around.journal, self._pipeline, self._place, after=after)
        self._start(
            "follow-journal",
            lambda: around.thread.call(follower.run),
            ask_to_end=follower.ask_to_end,
            backoff=FOLLOWER_BACKOFF,
        )

    @property
    def trouble(self) -> str:
        """Why it cannot take in changes, as a sentence, where only a person can mend that; else empty."""
        return "; ".join(task.reason for task in self._tasks if task.is_given_up and task.reason)

    @property
    def set_apart(self) -> Counter[str]:
        """What could not be taken over or in since it was opened, by reason."""
        return self._unseeded + self._letters.found

    async def caught_up(self, until: int) -> None:
        """Return once the journal is taken in up to this place and the replica has committed the documents of it.

        Raises:
            NotReadyError: it cannot take them in.
        """
        while self.after < until:
            self._require_working()
            await asyncio.sleep(_LOOK_AGAIN_S)
        reached = asyncio.create_task(self._documents.reached(self.around.progress, RecordStage.READABLE))
        try:
            while not reached.done():
                self._require_working()
                await asyncio.wait({reached}, timeout=_LOOK_AGAIN_S)
            reached.result()
        finally:
            reached.cancel()
        await asyncio.to_thread(self.replica.reader.refresh)

    def _require_working(self) -> None:
        if self.trouble:
            raise NotReadyError(f"generation {self.manifest.name} does not take in changes: {self.trouble}")

    def _start(self, name: str, work: Work, **options: Unpack[Options]) -> None:
        options["instance"], options["decides"] = self.manifest.name, self.is_live
        task = self.around.supervisor.start(name, work, **options)
        self._tasks.append(task)
        self._stack.push_async_callback(task.stop)

    async def close(self) -> None:
        """End everything in order; a second call does nothing."""
        await self._stack.aclose()

    def parts(self) -> HeldParts:
        """For the searchers; they stay ours."""
        return HeldParts(self.vectors, self.encoder, self.replica.reader, self.folder / "text")

    async def _open_vectors(self) -> None:
        settings = vector_settings(self.around.settings.vectors, self.manifest)
        settings = settings.model_copy(update={"directory": self.folder / "vectors"})
        self.vectors = await EdgeIndex.open(settings)
        self._stack.push_async_callback(self.vectors.close)
        if self.vectors.is_absent or self.around.machine_went_down:
            # The place may speak of writes that are not there; all of it is applied again.
            await asyncio.to_thread(self._place.forget)
        await open_collection(self.vectors, self.encoder)
        await self.vectors.apply_settings()

    async def _open_replica(self) -> None:
        around, topic = self.around, self.manifest.documents
        await around.broker.create_topics([topic])
        self._documents = LogEnds(around.broker.address, [topic])
        await self._documents.open()
        self._stack.push_async_callback(self._documents.close)
        text = around.settings.text.model_copy(update={"directory": self.folder / "text"})
        tail = around.settings.tail
        self.replica = EmbeddedReplica(
            text,
            topic,
            around.progress,
            lambda: KafkaDocumentLog(around.settings.kafka, tail, log_id=around.broker.log_id, topic=topic),
            tail.backoff,
            around.letters,
        )
        await self.replica.open()
        self._stack.push_async_callback(self.replica.close)
        self._start("replica", self.replica.run, ask_to_end=self.replica.ask_to_end)

    async def _open_pipeline(self) -> None:
        around = self.around
        executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"encode-{self.manifest.name}")
        self._stack.callback(executor.shutdown, wait=False, cancel_futures=True)
        self._embedding = Embedding(CachingEncoder(self.encoder, executor, self.contents), self.reuse)
        self._timing = Timing(SystemClock(), random.Random())  # noqa: S311 - jitter, no secret
        self._limits = PipelineLimits(embed_chunk=around.settings.indexer.consumer.embed_chunk)
        writer = LogWriter(around.settings.kafka)
        topics = (self.manifest.documents, around.settings.kafka.topics.dead_letters)
        writer.carries(dict.fromkeys(topics, LARGEST_BYTES))
        ends = LogEnds(around.broker.address, [self.manifest.documents])

        async def build() -> None:
            await ends.open()
            await writer.start()
            documents = self._remover = KafkaDocumentPublisher(writer, self.manifest.documents)
            self._target = Target(
                self.vectors,
                PacedPublisher(documents, ends, around.progress),
                partial(build_document, policy=around.policy),
            )
            onward = KafkaDeadLetterSink(writer, around.settings.kafka.topics.dead_letters, clock=SystemClock())
            self._letters = LeftToMain(KeptDeadLetterSink(around.dead_letters, onward, clock=SystemClock()))
            intake = Intake(around.parser, self._letters, around.settings.indexer.kafka.topics.bulk)
            self._pipeline = Pipeline(self._target, self._embedding, self._timing, intake, self._limits)

        await around.thread.call(build)
        self._stack.push_async_callback(around.thread.call, writer.stop)
        self._stack.push_async_callback(around.thread.call, ends.close)

    async def _compare(self) -> None:
        """After a stop that was not in order: documents may be missing in the replica."""
        while self.replica.not_ready:
            self._require_working()
            await asyncio.sleep(_LOOK_AGAIN_S)
        reader = self.replica.reader
        await asyncio.to_thread(reader.refresh)
        await self.around.thread.call(lambda: reconcile(self.vectors, reader, self._pipeline))
        await self._documents.reached(self.around.progress, RecordStage.READABLE)

    def _respeller(self) -> Respeller:
        return Respeller(self._target, self._remover, self._embedding.encoder, self._timing)

    async def _seed(self, on_progress: OnProgress) -> None:
        counts = await self.around.main.counts()
        seeder = Backfill(Settler(self._target, self._embedding, self._timing, self._limits), self.around.main)
        with on_behalf_of(Urgency.BULK):
            seeded = await seeder.run(
                _listed(self.around.main),
                lambda so_far: on_progress(backfill_progress(so_far, counts.alive + counts.dead)),
            )
        self._unseeded.update(fault.reason.code for fault in seeded.apart.values())


async def _listed(vectors: VectorIndex) -> AsyncIterator[Mapping[SkuKey, bool]]:
    async for page in vectors.scan():
        yield dict.fromkeys(page, True)
