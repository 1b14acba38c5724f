"""The composition root: from settings to a running indexer, and the process around it."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

import structlog
from prometheus_client import REGISTRY, CollectorRegistry

from indexer.batch.caching import CachingEncoder
from indexer.batch.embedding import Embedding, VectorReuse
from indexer.batch.pipeline import Intake, Pipeline
from indexer.batch.settling import PipelineLimits
from indexer.consuming.publish_lock import PublishLock
from indexer.consuming.runner import BatchRunner, JournalledLog, Observers
from indexer.generations.leadership import LeaderDeadLetterSink, Leadership
from indexer.generations.settings import configured_by, settings_for
from indexer.identity import OffsetGuard
from indexer.kafka.consumer import ChangeConsumer
from indexer.kafka.diversion import SnapshotDiversion
from indexer.kafka.groups import KafkaGroupOffsets
from indexer.kafka.publisher import KafkaDeadLetterSink, KafkaDocumentPublisher
from indexer.metrics import IndexerMetrics
from indexer.ports import DeadLetterSink, DocumentComposer, DocumentPublisher, Target, Timing
from indexer.process.app import IndexerApp, KafkaEnds, OpenedStore, Workers, http_app
from indexer.process.supervisor import GenerationIndexers, Member, process_registry
from indexer.readiness import ConsumerHealth
from indexer.respelling import Respeller
from indexer.settings import IndexerSettings
from indexer.sources.kafka import KafkaSourceStore
from indexer.sources.live import LiveSources
from indexer.verification.kafka import KafkaDocumentFeed
from indexer.verification.verifier import DocumentVerifier
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.models.architecture import settle_layers
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import EncoderSettings, LayerChoice
from retrieval.generations.fitting import built_with, require_revision
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.vectors.contents import ContentVectors
from retrieval.vectors.factory import open_vector_index, opened_contents
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.settings import VectorStoreKind
from runtime import event_loop
from runtime.clock import SystemClock
from runtime.http.server import HttpServer
from runtime.kafka.log_writer import LogWriter
from runtime.kafka.topic_identity import TopicIds
from runtime.observability.metrics import TaskMetrics
from runtime.observability.redaction import shown
from runtime.supervision import Supervisor
from schemas.errors import ConfigurationError
from schemas.events.admission import AdmissionRules
from schemas.events.parser import EventParser
from schemas.mapping.loading import load_mapping
from schemas.product.building import build_document
from schemas.records.generations import Generation

log = structlog.get_logger(__name__)

_VERIFIERS: Final = "verifier-2"
"""Ends the name of the verifiers' group. A new number has them read the documents topic from its beginning once more: the second
found what was stored under other spellings of a SKU (decision 0076)."""


@dataclass(frozen=True, slots=True)
class IndexerParts:
    """What one indexer is of: its collection, encoder, parser and composer, and vectors that exist elsewhere, by product and by content."""

    index: VectorIndex
    encoder: TextEncoder
    parser: EventParser
    compose: DocumentComposer
    reuse: VectorReuse | None = None
    contents: ContentVectors | None = None


@dataclass(frozen=True, slots=True)
class EmbeddedParts:
    """What an embedded system puts around the way to Kafka.

    Every batch is kept in the `journal` before it is worked on; `pace` holds documents back until a replica has read those
    before, `keep` keeps dead letters. Such an indexer has no verifier: where one process does all, there is no zombie
    (decision 0020).
    """

    journal: JournalledLog
    pace: Callable[[DocumentPublisher], DocumentPublisher]
    keep: Callable[[DeadLetterSink], DeadLetterSink]


def build_indexer(
    settings: IndexerSettings,
    parts: IndexerParts,
    *,
    embedded: EmbeddedParts | None = None,
    leadership: Leadership | None = None,
    tasks: TaskMetrics | None = None,
    self_check: bool = True,
) -> IndexerApp:
    """Put an indexer together from its parts; nothing connects before `start`.

    `leadership` says what of the common work is this generation's; `self_check` off leaves the collection's vectors unlooked at.
    """
    index = parts.index
    timing = Timing(SystemClock(), random.Random())  # noqa: S311 - jitter, no secret
    observers = Observers(ConsumerHealth(), IndexerMetrics(CollectorRegistry()))
    lock = PublishLock()
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")
    encoder = CachingEncoder(parts.encoder, executor, parts.contents, observers.metrics.contents)
    topics = settings.kafka.topics
    writer = LogWriter(settings.kafka)
    documents = KafkaDocumentPublisher(writer, topics.documents)
    sink: DeadLetterSink = KafkaDeadLetterSink(writer, topics.dead_letters, clock=timing.clock)
    if leadership is not None:
        sink = LeaderDeadLetterSink(sink, leadership)
    target = Target(index, documents if embedded is None else embedded.pace(documents), parts.compose)
    pipeline = Pipeline(
        target,
        Embedding(encoder, parts.reuse),
        timing,
        Intake(parts.parser, sink if embedded is None else embedded.keep(sink), topics.bulk),
        PipelineLimits(embed_chunk=settings.consumer.embed_chunk, max_record_bytes=settings.consumer.max_record_bytes),
    )
    # An embedded broker's log is a new one with every start, and the journal says what is in the store.
    topic_ids = TopicIds(settings.kafka)
    guard = offset_guard(settings, index, topic_ids) if embedded is None else None
    consumer = ChangeConsumer(
        settings.kafka,
        settings.consumer,
        lock=lock,
        progress=observers.health,
        **({} if guard is None else {"beside": guard.beside}),
    )
    runner = BatchRunner(
        pipeline,
        consumer,
        lock,
        observers,
        timing,
        journal=None if embedded is None else embedded.journal,
        # A journalled log keeps 5 MB a partition: whoever moves records there could push out what no one has read.
        divert=SnapshotDiversion(writer, topics.bulk, due=lambda: leadership is None or leadership.is_live)
        if settings.consumer.divert_snapshots and embedded is None
        else None,
    )
    consumer.handle_with(runner.run)
    respeller = Respeller(target, documents, encoder, timing)
    verifier = None
    if embedded is None:
        group = f"{settings.consumer.group_id}-{_VERIFIERS}"
        verifier = DocumentVerifier(
            lambda: KafkaDocumentFeed(
                settings.kafka,
                group_id=group,
                metadata_age_s=settings.consumer.metadata_age_s,
                guard=OffsetGuard(KafkaGroupOffsets(settings.kafka, group), [topics.documents], topic_ids.of),
            ),
            index,
            pipeline.republish,
            metrics=observers.metrics,
            clock=timing.clock,
            rng=timing.rng,
            respell=respeller.respell,
        )
    return IndexerApp(
        Workers(pipeline, runner, respeller, verifier),
        KafkaEnds(consumer, writer, guard),
        OpenedStore(index, parts.encoder, executor, self_check),
        observers,
        clock=timing.clock,
        tasks=tasks,
    )


def offset_guard(settings: IndexerSettings, index: VectorIndex, topic_ids: TopicIds) -> OffsetGuard:
    """The guard of the offsets that this group commits of the change topics."""
    return OffsetGuard(
        KafkaGroupOffsets(settings.kafka, settings.consumer.group_id),
        settings.kafka.topics.consumed,
        topic_ids.of,
        identify=index.identify,
        identity=index.identity,
        documents=settings.kafka.topics.documents,
    )


async def run_indexer(settings: IndexerSettings) -> None:
    """Run an indexer process until SIGTERM or SIGINT, which let it finish its batch. It follows every prepared generation.

    Raises:
        FatalError: the settings or the data need the operator; the message says what to do.
    """
    if settings.vectors.kind is VectorStoreKind.EDGE:
        raise ConfigurationError(
            "vectors.kind is edge, which one process owns alone, so no search worker could read it: "
            "run `ferroflux up`, or set FERROFLUX_VECTORS__KIND=qdrant"
        )
    log.info("indexer starts", settings=shown(settings))
    load_mapping(settings.mapping, settings.default_tenant)  # a mistake in it is told now, not with the first change
    tasks = TaskMetrics(REGISTRY)
    supervisor = Supervisor(tasks)
    sources = LiveSources()
    stack = AsyncExitStack()
    contents = await stack.enter_async_context(opened_contents(settings.vectors))
    generations = GenerationIndexers(
        KafkaGenerationStore(settings.kafka),
        configured_by(settings),
        MemberFactory(settings, tasks, sources, contents),
        supervisor,
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    if settings.http.port:
        server = HttpServer(host=settings.http.host, port=settings.http.port, remedy="choose another http.port")
        server.listen()
        metrics = process_registry(generations, REGISTRY)
        app = http_app(readiness=generations.readiness, registry=metrics, refresh=generations.refresh_metrics)
        supervisor.start("http", lambda: server.serve(app), ask_to_end=server.ask_to_end)
    try:
        supervisor.start("follow-sources", lambda: KafkaSourceStore(settings.kafka).follow(sources))
        generations.start()
        await supervisor.run_until(stopping)
    finally:
        await supervisor.stop()
        await stack.aclose()


def main(settings: IndexerSettings) -> None:
    """Run an indexer process to its end."""
    event_loop.run(run_indexer(settings))


class MemberFactory:
    """Puts the indexers of one process together, a generation each; those with the same encoder share it."""

    def __init__(
        self,
        settings: IndexerSettings,
        tasks: TaskMetrics | None = None,
        sources: LiveSources | None = None,
        contents: ContentVectors | None = None,
    ) -> None:
        """`sources` is what the process hears of the history of sources; `contents` is shared by all, and stays the caller's."""
        self._settings = settings
        self._rules = AdmissionRules(settings.max_ahead_s, (sources or LiveSources()).history)
        self._tasks = tasks
        self._contents = contents
        self._encoders: WeakValueDictionary[EncoderSettings, TextEncoder] = WeakValueDictionary()

    async def __call__(self, manifest: Generation, leadership: Leadership) -> Member:
        """The indexer of a generation; nothing is connected yet.

        Raises:
            FatalError: the mapping, the model or the version does not fit.
        """
        settings = settings_for(self._settings, manifest)
        mapping = load_mapping(settings.mapping, settings.default_tenant)
        index = await open_vector_index(settings.vectors)
        try:
            chosen, encoder = await self._encoder(settings.encoder, index)
            require_revision(manifest, encoder.revision)
        except BaseException:
            await index.close()
            raise
        app = build_indexer(
            settings,
            IndexerParts(
                index,
                encoder,
                EventParser(mapping, settings.default_tenant, admission=self._rules),
                partial(build_document, policy=mapping.policy),
                contents=self._contents,
            ),
            leadership=leadership,
            tasks=self._tasks,
        )
        return Member(built_with(manifest, chosen, encoder, mapping.policy), app, index, settings.kafka)

    async def _encoder(self, settings: EncoderSettings, index: VectorIndex) -> tuple[EncoderSettings, TextEncoder]:
        """The encoder that the collection asks for where the settings leave it open, shared by all that have the same."""
        recorded = await index.recorded() if settings.layers is LayerChoice.AUTO else None
        chosen = await asyncio.to_thread(settle_layers, settings, recorded)
        encoder = self._encoders.get(chosen)
        if encoder is None:
            encoder = self._encoders[chosen] = await asyncio.to_thread(load_encoder, chosen)
        return chosen, encoder
