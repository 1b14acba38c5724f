"""The embedded system: the composition root of `ferroflux up`, the order of its start and the order of its stop.

    start: lock → encoder → stores → broker → replica follows → journal applied again → stores compared → index
           maintained → other generations open → indexer consumes → search is served
    stop:  no more changes taken → log drained through indexer and replica → server → indexer → replica → stores → lock

Searches, intake and replica run on the caller's event loop; the indexer has a loop on a thread of its own. Every wait
for another part is a wait for an offset (`LogProgress`), never for a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, Unpack

import structlog
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from ferroflux.data_directory import Endpoint, Ownership, PreviousStop
from ferroflux.embedded.broker import EmbeddedBroker
from ferroflux.embedded.chat import SharedPort, chat_beside
from ferroflux.embedded.generations.member import Surroundings
from ferroflux.embedded.generations.system import EmbeddedGenerations
from ferroflux.embedded.intake.held import held_router
from ferroflux.embedded.intake.http import CHANGES_PATH, changes_router
from ferroflux.embedded.intake.intake import ChangeIntake
from ferroflux.embedded.intake.progress import LogEnds, LogProgress, RecordStage, WatchedJournal
from ferroflux.embedded.loop_thread import LoopThread
from ferroflux.embedded.operations import EmbeddedOperations, Inside
from ferroflux.embedded.progress_reporter import ProgressReporter
from ferroflux.embedded.recovery import Found, fill_contents, reconcile, replay, respell_once, restore
from ferroflux.embedded.replica import LARGEST_BYTES, EmbeddedReplica, KeptLetterBox, PacedPublisher
from ferroflux.embedded.settings import EmbeddedOptions, EmbeddedSettings
from ferroflux.ingest.held.store import StoreHeldVersions
from ferroflux.operations.building import CallersModels
from ferroflux.operations.routes import operations_router
from indexer.consuming.runner import JournalledLog
from indexer.deadletters.file import DeadLetterFile, KeptDeadLetterSink
from indexer.journal import SqliteChangeJournal
from indexer.process.app import IndexerApp, http_app
from indexer.process.bootstrap import EmbeddedParts, IndexerParts, build_indexer
from indexer.sources.file import FileSourceStore
from indexer.sources.live import LiveSources
from indexer.sources.service import SourceService
from query_api.bootstrap import VARIABLES, build_app
from query_api.http.context import ApiContext
from query_api.replica.tailing.aliases import AliasTailer
from query_api.replica.tailing.kafka import KafkaDocumentLog, KafkaLetterBox
from query_api.settings import ApiSettings
from retrieval.aliases.file import AliasFile
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.models.architecture import layers_of, settle_layers
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import EncoderSettings, available_cpus
from retrieval.encoders.sharing import InferenceShares, SharedEncoder
from retrieval.serving.parts import HeldParts
from retrieval.text.port import TextIndexReader
from retrieval.vectors.contents import ContentVectors, SqliteContentVectors
from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.spaces import spaces_of
from runtime.clock import SYSTEM_CLOCK, SystemClock
from runtime.http.server import HttpServer
from runtime.kafka.log_writer import LogWriter
from runtime.observability.metrics import TaskMetrics
from runtime.retry import Backoff
from runtime.rights.openness import require_guarded
from runtime.supervision import Options, Supervisor, Work
from schemas.api.limits import MAX_CHANGES_BYTES
from schemas.errors import FerrofluxError
from schemas.events.admission import AdmissionRules
from schemas.events.parser import EventParser
from schemas.identity import TenantId, tenant_id
from schemas.mapping.loading import load_mapping
from schemas.product.building import DocumentPolicy, build_document
from schemas.product.sources import SourceHistory
from schemas.records.generations import MAIN, Generation

log = structlog.get_logger(__name__)

_DRAIN_S: Final = 60.0
_LOOK_AGAIN_S: Final = 0.01
_LARGEST_CHANGE_BYTES: Final = 1_048_576


@dataclass(slots=True)
class EmbeddedSystem:
    """One running system. Build it with `start`, end it with `stop`; `failed` tells of an end that nobody asked for."""

    options: EmbeddedOptions
    reporter: ProgressReporter
    progress: LogProgress = field(default_factory=LogProgress)
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    _clean: bool = False
    _registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    ownership: Ownership = field(init=False)
    settings: EmbeddedSettings = field(init=False)
    encoder: TextEncoder = field(init=False)
    journal: SqliteChangeJournal = field(init=False)
    sources: FileSourceStore = field(init=False)
    dead_letters: DeadLetterFile = field(init=False)
    vectors: EdgeIndex = field(init=False)
    contents: ContentVectors | None = field(init=False)
    broker: EmbeddedBroker = field(init=False)
    supervisor: Supervisor = field(init=False)
    """Of every background task on the caller's loop; what the indexer's thread runs ends by it, too."""
    replica: EmbeddedReplica = field(init=False)
    indexer: IndexerApp = field(init=False)
    intake: ChangeIntake = field(init=False)
    server: HttpServer = field(init=False)
    _shares: InferenceShares = field(init=False)
    _letters: KeptLetterBox = field(init=False)
    _parser: EventParser = field(init=False)
    _policy: DocumentPolicy = field(init=False)
    _declared_sources: Callable[[], SourceHistory] = field(init=False)
    _thread: LoopThread = field(init=False)
    _changes: LogEnds = field(init=False)
    _documents: LogEnds = field(init=False)
    _found: Found = field(init=False)
    generations: EmbeddedGenerations = field(init=False)

    def __post_init__(self) -> None:
        self.supervisor = Supervisor(TaskMetrics(self._registry), on_failure=self.progress.fail)

    @property
    def reader(self) -> TextIndexReader:
        """The text replica of `main`."""
        return self.replica.reader

    @property
    def url(self) -> str:
        """Base URL of the API and the page."""
        return self.server.url

    @property
    def default_tenant(self) -> TenantId:
        """The tenant of events that name none."""
        return tenant_id(self.settings.indexer.default_tenant)

    async def start(self) -> None:
        """Start everything; what has started is stopped again where a later step fails.

        Raises:
            IndexInUseError: another process owns the data directory.
            ConfigurationError: a port is taken, a setting is wrong, or others would reach the port and no keys are set.
            FatalError: the model, the collection or the index on disk does not fit.
        """
        try:
            self._take_ownership()
            await self._open_stores()
            await self._follow_documents()
            await self._build_indexer()
            await self._recover()
            await self._open_generations()
            await self._serve()
        except BaseException:
            # Nothing was taken yet: what a recovery had still to do, the next start does.
            await self._stack.aclose()
            await self.supervisor.stop()
            raise

    async def stop(self) -> None:
        """Stop in order: everything that was taken goes through to both stores first."""
        Endpoint.withdraw(self.options.directory)
        with self.reporter.step("finishing what was taken") as step:
            await self.intake.close()
            self._clean = await self._drain()
            if not self._clean:
                step.note("not all of it in time; the next start applies the rest from the journal")
        with self.reporter.step("closing the stores"):
            await self._stack.aclose()
            await self.supervisor.stop()

    def _take_ownership(self) -> None:
        require_guarded(self.options.http(ApiSettings().http), VARIABLES)
        self.ownership = Ownership.take(self.options.directory)
        self._stack.callback(lambda: self.ownership.release(clean=self._clean))
        self.server = HttpServer(
            host=self.options.http_host,
            port=self.options.http_port,
            remedy="choose another with --port (0: any free one)",
        )
        self.server.listen()
        self._stack.callback(self.server.close)

    async def _open_stores(self) -> None:
        with self.reporter.step("starting the broker"):
            self.broker = await EmbeddedBroker.start(port=self.options.kafka_port)
            self._stack.push_async_callback(self.broker.stop)
            self.settings = EmbeddedSettings.of(self.options, self.broker)
            topics = self.settings.kafka.topics
            await self.broker.create_topics([*topics.consumed, topics.documents, topics.aliases, topics.dead_letters])
        with self.reporter.step("loading the text encoder") as step:
            own = self.settings.indexer.encoder
            self._shares = InferenceShares(own.shares, at_once=available_cpus())
            self.vectors = await EdgeIndex.open(self.settings.vectors)
            self._stack.push_async_callback(self.vectors.close)
            chosen = await asyncio.to_thread(settle_layers, own, await self.vectors.recorded())
            self.encoder = await asyncio.to_thread(self._load_encoder, chosen)
            revision = self.encoder.revision
            layers = layers_of(revision.quantisation)
            step.note(f"{revision.model}, {revision.dimension} dimensions, {layers} layers")
        with self.reporter.step("opening the stores") as step:
            self.journal = SqliteChangeJournal.open(self.options.directory.journal)
            self._stack.push_async_callback(self.journal.close)
            self.dead_letters = await DeadLetterFile.open(
                self.options.directory.dead_letters, self.settings.kafka.topics.dead_letters, clock=SystemClock()
            )
            self._stack.push_async_callback(self.dead_letters.close)
            self.contents = None
            if self.settings.vectors.content_bytes:
                self.contents = SqliteContentVectors(
                    self.options.directory.contents, self.settings.vectors.content_bytes
                )
                self._stack.push_async_callback(self.contents.close)
            spoken_of = await self.journal.collection()
            self._found = Found(
                self.ownership.previous,
                vectors_are_new=self.vectors.is_absent,
                vectors_are_others=spoken_of is not None
                and not self.vectors.is_absent
                and spoken_of != await self.vectors.identity(),
            )
            if self._found.watermarks_are_void:
                # Before there is a vector index: a start that is killed from here on leaves all of the journal pending.
                await self.journal.forget_applied()
                self.ownership.made_up_for()
            await self.vectors.prepare(spaces_of(self.encoder.revision))
            await self.journal.speaks_of(await self.vectors.identify())
            counts = await self.vectors.counts()
            step.note(f"{counts.alive:,} products")

    async def _follow_documents(self) -> None:
        topic = self.settings.kafka.topics.documents
        self._documents = await self._ends([topic])
        self._changes = await self._ends(self.settings.kafka.topics.consumed)
        producer = LogWriter(self.settings.kafka)
        self._stack.push_async_callback(producer.stop)
        self._letters = KeptLetterBox(
            self.dead_letters, KafkaLetterBox(producer, self.settings.kafka.topics.dead_letters)
        )
        self.replica = EmbeddedReplica(
            self.settings.text,
            topic,
            self.progress,
            lambda: KafkaDocumentLog(self.settings.kafka, self.settings.tail, log_id=self.broker.log_id),
            self.settings.tail.backoff,
            self._letters,
        )
        await self.replica.open()
        self._stack.push_async_callback(self.replica.close)
        self._found = replace(self._found, replica_is_new=self.replica.is_new)
        self._start("replica", self.replica.run, instance=MAIN, ask_to_end=self.replica.ask_to_end)
        aliases = AliasTailer(
            AliasFile(self.options.directory.text),
            lambda: KafkaDocumentLog(
                self.settings.kafka,
                self.settings.tail,
                log_id=self.broker.log_id,
                topic=self.settings.kafka.topics.aliases,
            ),
            backoff=Backoff(self.settings.tail.backoff),
            topic=self.settings.kafka.topics.aliases,
            letters=self._letters,
        )
        # What aliases were read before is in the file: searches do without newer ones.
        self._start("alias-tailer", aliases.run, backoff=self.settings.tail.backoff, ready_without=True)
        # The search worker takes a replica for whole when it is reported as such: let the first report be there.
        while not self.replica.is_reported:
            if self.supervisor.failure is not None:
                raise self.supervisor.failure
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _build_indexer(self) -> None:
        settings = self.settings.indexer
        mapping = load_mapping(settings.mapping, settings.default_tenant)
        self._policy = mapping.policy
        live = LiveSources(fresh_for_s=math.inf)  # one process adds entries and decides by them
        self.sources = FileSourceStore(self.options.directory.sources, SystemClock(), live.hear)
        live.hear(await self.sources.entries())
        self._declared_sources = lambda: live.history().declaring(mapping.declared)
        rules = AdmissionRules(settings.max_ahead_s, live.history)
        self._parser = EventParser(mapping, settings.default_tenant, admission=rules)
        self._thread = LoopThread("indexer")
        self._stack.push_async_callback(self._thread.stop)
        self._start("indexer-thread", self._thread.watch)

        async def build() -> tuple[IndexerApp, LogEnds]:
            ends = LogEnds(self.broker.address, [settings.kafka.topics.documents])
            await ends.open()
            app = build_indexer(
                settings,
                IndexerParts(
                    self.vectors,
                    self.encoder,
                    self._parser,
                    partial(build_document, policy=mapping.policy),
                    contents=self.contents,
                ),
                embedded=EmbeddedParts(
                    JournalledLog(WatchedJournal(self.journal, self.progress), self.broker.log_id),
                    pace=lambda publisher: PacedPublisher(publisher, ends, self.progress),
                    keep=lambda sink: KeptDeadLetterSink(self.dead_letters, sink, clock=SystemClock()),
                ),
                tasks=self.supervisor.metrics,
            )
            topics = settings.kafka.topics
            app.topics_take(dict.fromkeys((topics.documents, topics.dead_letters), LARGEST_BYTES))
            await app.prepare()
            return app, ends

        self.indexer, ends = await self._thread.call(build)
        self._stack.push_async_callback(self._thread.call, ends.close)
        self._stack.push_async_callback(self._thread.call, self.indexer.stop)

    async def _recover(self) -> None:
        await self._apply_journal()
        if self._found.stores_may_differ:
            with self.reporter.step("comparing the stores") as step:
                await asyncio.to_thread(self.reader.refresh)
                found = await self._thread.call(lambda: reconcile(self.vectors, self.reader, self.indexer.pipeline))
                await self._documents.reached(self.progress, RecordStage.READABLE)
                step.note(f"{found.compared:,} products, {found.republished:,} of them published again")
                if found.unknown:
                    await restore(
                        found.unknown,
                        self.reader,
                        self.journal,
                        topic=self.settings.kafka.topics.changes[0],
                        policy=self._policy,
                    )
            await self._apply_journal()
        spelling = self.options.directory.one_spelling
        if await self._thread.call(lambda: respell_once(spelling, self.indexer.respeller)):
            await self._documents.reached(self.progress, RecordStage.READABLE)
        await self.vectors.maintain()

    async def _apply_journal(self) -> None:
        """Apply what the journal holds beyond its watermarks, and wait until the replica has its documents."""
        if not (await self.journal.size()).pending:
            return
        with self.reporter.step("applying the journal") as step:
            replayed = await self._thread.call(lambda: replay(self.journal, self.indexer.pipeline, step.progress))
            await self._documents.reached(self.progress, RecordStage.READABLE)
            step.note(f"{replayed.records:,} changes")

    async def _open_generations(self) -> None:
        around = Surroundings(
            folder=self.options.directory.generations,
            settings=self.settings,
            broker=self.broker,
            journal=self.journal,
            progress=self.progress,
            thread=self._thread,
            parser=self._parser,
            policy=self._policy,
            main=self.vectors,
            contents=self.contents,
            letters=self._letters,
            machine_went_down=self._found.previous is PreviousStop.MACHINE_DOWN,
            stores_may_differ=self._found.stores_may_differ,
            supervisor=self.supervisor,
            dead_letters=self.dead_letters,
        )
        self.generations = EmbeddedGenerations(
            around, self.encoder, settled=self._until_applied, load=self._load_encoder
        )
        self._stack.push_async_callback(self.generations.close)
        await self.generations.open()

    def _load_encoder(self, settings: EncoderSettings) -> TextEncoder:
        """An encoder that gives way to the others of this process by weight; blocking."""
        return SharedEncoder(load_encoder(settings), self._shares)

    async def _until_applied(self) -> None:
        await self._changes.reached(self.progress, RecordStage.APPLIED)

    async def _serve(self) -> None:
        with self.reporter.step("starting indexer and search"):
            writer = LogWriter(self.settings.kafka, largest_bytes=_LARGEST_CHANGE_BYTES)
            await writer.start()
            self._stack.push_async_callback(writer.stop)
            self.intake = ChangeIntake(writer, self.settings.kafka.topics, self.progress, self._until_searchable)
            app = build_app(
                self.settings.api,
                held_of=self._held_parts,
                registry=self._registry,
                reports=False,
                larger_bodies={CHANGES_PATH: MAX_CHANGES_BYTES},
                supervisor=self.supervisor.child(),
            )
            context: ApiContext = app.state.context
            self.generations.serve(context.searchers)
            app.include_router(changes_router(self.intake, self.default_tenant))
            held = StoreHeldVersions(self.vectors, clock=SYSTEM_CLOCK, sources=self._declared_sources)
            app.include_router(held_router(held))
            models = CallersModels(self.settings.indexer.encoder, self.settings.api.fetch)
            app.include_router(operations_router(self._operations(writer), models))
            app.mount("/indexer", self._indexer_face())
            chat = chat_beside(
                context.worker,
                context.doors,
                self.settings.api,
                self.settings.kafka,
                self.options.directory,
                self.supervisor.child(),
            )
            await self._stack.enter_async_context(chat.router.lifespan_context(chat))
            shared, grace_s = SharedPort(app, chat), self.settings.api.http.shutdown_s
            self._start(
                "http",
                lambda: self.server.serve(shared, lifespan=True, grace_s=grace_s),
                ask_to_end=self.server.ask_to_end,
            )
            # The group's first rebalance takes three seconds by librdkafka's own clock; searches need not wait for it.
            await asyncio.gather(self._thread.call(self.indexer.start), self.server.serving.wait())
            self._start("indexer", self._run_indexer)
            if self.contents is not None:
                fill = partial(fill_contents, self.contents, self.vectors, spaces_of(self.encoder.revision))
                self._start("fill-contents", fill, ends=True, ready_without=True)
        Endpoint(pid=os.getpid(), url=self.server.url, kafka=self.broker.address).publish(self.options.directory)

    def _held_parts(self, manifest: Generation) -> HeldParts:
        """What the searchers of this process answer from: stores that are open here already."""
        if manifest.name == MAIN:
            return HeldParts(self.vectors, self.encoder, self.reader)
        return self.generations.parts_of(manifest)

    def _indexer_face(self) -> Starlette:
        """The indexer's `/readyz` and `/metrics`, which a process of its own would serve on its port."""
        return http_app(
            readiness=lambda: self._thread.call(self.indexer.readiness),
            registry=self.indexer.metrics.registry,
            refresh=lambda: self._thread.call(self.indexer.refresh_metrics),
        )

    def _operations(self, writer: LogWriter) -> EmbeddedOperations:
        return EmbeddedOperations(
            Inside(
                directory=self.options.directory,
                topics=self.settings.kafka.topics,
                progress=self.progress,
                thread=self._thread,
                pipeline=self.indexer.pipeline,
                parser=self._parser,
                index=self.vectors,
                journal=self.journal,
                reader=self.reader,
                until_searchable=self._until_searchable,
            ),
            writer,
            self.dead_letters,
            SourceService(self.sources, self._parser.mapping.declared),
            self.generations,
            self.settings.indexer,
        )

    async def _until_searchable(self) -> None:
        await self._documents.reached(self.progress, RecordStage.READABLE)
        await asyncio.to_thread(self.reader.refresh)
        await self.generations.until_searchable()

    async def _drain(self) -> bool:
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._changes.reached(self.progress, RecordStage.APPLIED)
                await self._documents.reached(self.progress, RecordStage.READABLE)
                await self.generations.drained()
        except (TimeoutError, FerrofluxError) as error:
            log.warning("the log was not drained before the stop", error=repr(error))
            return False
        return True

    async def _ends(self, topics: list[str] | tuple[str, ...]) -> LogEnds:
        ends = LogEnds(self.broker.address, topics)
        await ends.open()
        self._stack.push_async_callback(ends.close)
        return ends

    async def _run_indexer(self) -> None:
        """The indexer runs on its own thread; what ends it there is the end of this task."""
        raise await self._thread.call(self.indexer.failed)

    def _start(self, name: str, work: Work, **options: Unpack[Options]) -> None:
        """Begin a background task that is ended at its place in the order of the stop."""
        self._stack.push_async_callback(self.supervisor.start(name, work, **options).stop)
