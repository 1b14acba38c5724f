"""The composition root: from settings to a running indexer, and the process around it."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

import structlog
from prometheus_client import REGISTRY, CollectorRegistry

from indexer.generations.crew import GenerationCrew, Member, process_registry
from indexer.generations.settings import settings_for
from indexer.generations.standing import SharedDeadLetterSink, Standing
from indexer.generations.takeover import VectorDonor
from indexer.identity.guard import OffsetGuard
from indexer.kafka.consumer import ChangeConsumer
from indexer.kafka.diversion import SnapshotDiversion
from indexer.kafka.groups import KafkaGroupOffsets
from indexer.kafka.publisher import KafkaDeadLetterSink, KafkaDocumentPublisher
from indexer.pipeline import Pipeline, PipelineLimits
from indexer.ports import ChangeJournal, Clock, DeadLetterSink, DocumentComposer, DocumentPublisher
from indexer.publish_lock import PublishLock
from indexer.records import LogId
from indexer.respelling import Respeller
from indexer.runner import BatchRunner
from indexer.service.app import IndexerApp
from indexer.service.clock import SystemClock
from indexer.service.encoding import OffLoopEncoder
from indexer.service.http import http_app
from indexer.service.metrics import IndexerMetrics
from indexer.service.progress import Progress
from indexer.service.readiness import ReadinessProbe
from indexer.settings import IndexerSettings
from indexer.sources.kafka import KafkaSourceStore
from indexer.sources.live import LiveSources
from indexer.verification.kafka import KafkaDocumentFeed
from indexer.verification.verifier import DocumentVerifier
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.models.architecture import settle_layers
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import EncoderSettings, LayerChoice
from retrieval.generations.fitting import require_revision
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.self_check import open_collection
from retrieval.vectors.settings import VectorStoreKind
from runtime import event_loop
from runtime.http.server import HttpServer
from runtime.kafka.log_writer import LogWriter
from runtime.kafka.topic_identity import TopicIds
from runtime.metrics import TaskMetrics
from runtime.redaction import shown
from runtime.retry import BackoffPolicy
from runtime.supervision import Supervisor
from schemas.building import build_document
from schemas.errors import ConfigurationError
from schemas.events.admission import AdmissionRules
from schemas.events.parser import EventParser
from schemas.generations import Generation
from schemas.mapping.loading import load_mapping

log = structlog.get_logger(__name__)

_VERIFIERS: Final = "verifier-2"
"""Ends the name of the verifiers' group. A new number has them read the documents topic from its beginning once more: the second
found what was stored under other spellings of a SKU (decision 0076)."""


def build_indexer(
    settings: IndexerSettings,
    *,
    index: VectorIndex,
    encoder: TextEncoder,
    parser: EventParser,
    compose: DocumentComposer,
    registry: CollectorRegistry | None = None,
    journal: ChangeJournal | None = None,
    log_id: LogId | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
    pace: Callable[[DocumentPublisher], DocumentPublisher] | None = None,
    bury: Callable[[DeadLetterSink], DeadLetterSink] | None = None,
    verify: bool = True,
    tasks: TaskMetrics | None = None,
    donor: VectorDonor | None = None,
    standing: Standing | None = None,
    self_check: bool = True,
) -> IndexerApp:
    """Put an indexer together from its parts; nothing connects before `start`.

    `journal` and `log_id` are for the embedded mode: every batch is kept there before it is worked on. `pace` may put a
    publisher around the one to Kafka, to hold documents back until a replica has read those before; `bury` a sink around
    the one for dead letters. `verify` off runs no verifier: where one process does all, there is no zombie (decision 0020).
    `self_check` off leaves the collection's vectors unlooked at.
    `donor` gives vectors that another generation holds; `standing` says what of the common work is this generation's.
    """
    clock = clock or SystemClock()
    rng = rng or random.Random()  # noqa: S311 - jitter, no secret
    progress = Progress()
    metrics = IndexerMetrics(registry or CollectorRegistry())
    lock = PublishLock()
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")
    topics = settings.kafka.topics
    writer = LogWriter(settings.kafka)
    documents = KafkaDocumentPublisher(writer, topics.documents)
    publisher: DocumentPublisher = documents if pace is None else pace(documents)
    sink: DeadLetterSink = KafkaDeadLetterSink(writer, topics.dead_letters, clock=clock)
    if standing is not None:
        sink = SharedDeadLetterSink(sink, standing)
    off_loop = OffLoopEncoder(encoder, executor)
    pipeline = Pipeline(
        parser=parser,
        index=index,
        publisher=publisher,
        dead_letters=sink if bury is None else bury(sink),
        encoder=off_loop,
        compose=compose,
        clock=clock,
        rng=rng,
        limits=PipelineLimits(
            embed_chunk=settings.consumer.embed_chunk, max_record_bytes=settings.consumer.max_record_bytes
        ),
        donor=donor,
        bulk_topic=topics.bulk,
    )
    # An embedded broker's log is a new one with every start, and the journal says what is in the store.
    identified = journal is None
    topic_ids = TopicIds(settings.kafka)
    guard = offset_guard(settings, index, topic_ids) if identified else None
    consumer = ChangeConsumer(
        settings.kafka,
        settings.consumer,
        lock=lock,
        progress=progress,
        **({} if guard is None else {"beside": guard.beside}),
    )
    runner = BatchRunner(
        pipeline=pipeline,
        control=consumer,
        lock=lock,
        progress=progress,
        metrics=metrics,
        clock=clock,
        rng=rng,
        backoff=BackoffPolicy(),
        journal=journal,
        log_id=log_id,
        # A journalled log keeps 5 MB a partition: whoever moves records there could push out what no one has read.
        divert=SnapshotDiversion(writer, topics.bulk, due=lambda: standing is None or standing.is_live)
        if settings.consumer.divert_snapshots and journal is None
        else None,
    )
    consumer.handle_with(runner.run)
    respeller = Respeller(
        index,
        publisher,
        documents,
        pipeline.republish,
        encoder=off_loop,
        compose=compose,
        clock=clock,
        rng=rng,
        dense_only=encoder.sparse is None,
    )
    verifier = DocumentVerifier(
        lambda: KafkaDocumentFeed(
            settings.kafka,
            group_id=f"{settings.consumer.group_id}-{_VERIFIERS}",
            metadata_age_s=settings.consumer.metadata_age_s,
            guard=OffsetGuard(
                KafkaGroupOffsets(settings.kafka, f"{settings.consumer.group_id}-{_VERIFIERS}"),
                [topics.documents],
                topic_ids.of,
            )
            if identified
            else None,
        ),
        index,
        pipeline.republish,
        metrics=metrics,
        clock=clock,
        rng=rng,
        respell=respeller.respell,
    )
    return IndexerApp(
        pipeline=pipeline,
        respeller=respeller,
        runner=runner,
        consumer=consumer,
        writer=writer,
        open_index=partial(open_collection, index, encoder) if self_check else partial(index.prepare, encoder.revision),
        revision=encoder.revision,
        executor=executor,
        metrics=metrics,
        progress=progress,
        probe=ReadinessProbe(progress, index, clock),
        clock=clock,
        verifier=verifier if verify else None,
        guard=guard,
        products=index.scan,
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
    crew = GenerationCrew(KafkaGenerationStore(settings.kafka), MemberFactory(settings, tasks, sources), supervisor)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    if settings.http.port:
        server = HttpServer(host=settings.http.host, port=settings.http.port, remedy="choose another http.port")
        server.listen()
        metrics = process_registry(crew, REGISTRY)
        app = http_app(readiness=crew.readiness, registry=metrics, refresh=crew.refresh_metrics)
        supervisor.start("http", lambda: server.serve(app), ask_to_end=server.ask_to_end)
    try:
        supervisor.start("follow-sources", lambda: KafkaSourceStore(settings.kafka).follow(sources))
        crew.start()
        await supervisor.run_until(stopping)
    finally:
        await supervisor.stop()


def main(settings: IndexerSettings) -> None:
    """Run an indexer process to its end."""
    event_loop.run(run_indexer(settings))


class MemberFactory:
    """Puts the indexers of one process together, a generation each; those with the same encoder share it."""

    def __init__(
        self, settings: IndexerSettings, tasks: TaskMetrics | None = None, sources: LiveSources | None = None
    ) -> None:
        """`sources` is what the process hears of the history of sources."""
        self._settings = settings
        self._rules = AdmissionRules(settings.max_ahead_s, (sources or LiveSources()).history)
        self._tasks = tasks
        self._encoders: WeakValueDictionary[EncoderSettings, TextEncoder] = WeakValueDictionary()

    async def __call__(self, manifest: Generation | None, standing: Standing) -> Member:
        """The indexer of a generation; nothing is connected yet.

        Raises:
            FatalError: the mapping, the model or the version does not fit.
        """
        settings = settings_for(self._settings, manifest)
        mapping = load_mapping(settings.mapping, settings.default_tenant)
        index = await open_vector_index(settings.vectors)
        try:
            encoder = await self._encoder(settings.encoder, index)
            require_revision(manifest, encoder.revision)
        except BaseException:
            await index.close()
            raise
        app = build_indexer(
            settings,
            index=index,
            encoder=encoder,
            parser=EventParser(mapping, settings.default_tenant, admission=self._rules),
            compose=partial(build_document, policy=mapping.policy),
            standing=standing,
            tasks=self._tasks,
        )
        return Member(app, index, settings.kafka)

    async def _encoder(self, settings: EncoderSettings, index: VectorIndex) -> TextEncoder:
        """The encoder that the collection asks for where the settings leave it open, shared by all that have the same."""
        recorded = await index.recorded() if settings.layers is LayerChoice.AUTO else None
        chosen = await asyncio.to_thread(settle_layers, settings, recorded)
        encoder = self._encoders.get(chosen)
        if encoder is None:
            encoder = self._encoders[chosen] = await asyncio.to_thread(load_encoder, chosen)
        return encoder
