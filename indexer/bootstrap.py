"""The composition root: from settings to a running indexer, and the process around it."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog
from prometheus_client import REGISTRY, CollectorRegistry

from indexer.kafka.consumer import ChangeConsumer
from indexer.kafka.diversion import SnapshotDiversion
from indexer.kafka.publisher import KafkaDeadLetterSink, KafkaDocumentPublisher, LogWriter
from indexer.kafka.topics import TopicAdmin
from indexer.pipeline import Pipeline, PipelineLimits
from indexer.ports import ChangeJournal, Clock, DeadLetterSink, DocumentComposer, DocumentPublisher
from indexer.publish_lock import PublishLock
from indexer.records import LogId
from indexer.runner import BackoffPolicy, BatchRunner
from indexer.service.app import IndexerApp
from indexer.service.clock import SystemClock
from indexer.service.encoding import OffLoopEncoder
from indexer.service.http import HttpServer, http_app
from indexer.service.metrics import IndexerMetrics
from indexer.service.progress import Progress
from indexer.service.readiness import ReadinessProbe
from indexer.settings import IndexerSettings
from indexer.verification.kafka import KafkaDocumentFeed
from indexer.verification.verifier import DocumentVerifier
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.port import TextEncoder
from retrieval.serving import event_loop
from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.settings import VectorStoreKind
from schemas.building import build_document
from schemas.errors import ConfigurationError, FatalError, RetryableError
from schemas.events.parser import EventParser
from schemas.mapping.loading import load_mapping

log = structlog.get_logger(__name__)


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
) -> IndexerApp:
    """Put an indexer together from its parts; nothing connects before `start`.

    `journal` and `log_id` are for the embedded mode: every batch is kept there before it is worked on. `pace` may put a
    publisher around the one to Kafka, to hold documents back until a replica has read those before; `bury` a sink around
    the one for dead letters. `verify` off runs no verifier: where one process does all, there is no zombie (decision 0020).
    """
    clock = clock or SystemClock()
    rng = rng or random.Random()  # noqa: S311 - jitter, no secret
    progress = Progress()
    metrics = IndexerMetrics(registry or CollectorRegistry())
    lock = PublishLock()
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encode")
    topics = settings.kafka.topics
    writer = LogWriter(settings.kafka)
    publisher: DocumentPublisher = KafkaDocumentPublisher(writer, topics.documents)
    sink: DeadLetterSink = KafkaDeadLetterSink(writer, topics.dead_letters, clock=clock)
    pipeline = Pipeline(
        parser=parser,
        index=index,
        publisher=publisher if pace is None else pace(publisher),
        dead_letters=sink if bury is None else bury(sink),
        encoder=OffLoopEncoder(encoder, executor),
        compose=compose,
        clock=clock,
        rng=rng,
        limits=PipelineLimits(
            embed_chunk=settings.consumer.embed_chunk, max_record_bytes=settings.consumer.max_record_bytes
        ),
    )
    consumer = ChangeConsumer(settings.kafka, settings.consumer, lock=lock, progress=progress)
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
        divert=SnapshotDiversion(writer, topics.bulk)
        if settings.consumer.divert_snapshots and journal is None
        else None,
    )
    consumer.handle_with(runner.run)
    verifier = DocumentVerifier(
        lambda: KafkaDocumentFeed(
            settings.kafka,
            group_id=f"{settings.consumer.group_id}-verifier",
            metadata_age_s=settings.consumer.metadata_age_s,
        ),
        index,
        pipeline.republish,
        metrics=metrics,
        clock=clock,
        rng=rng,
    )
    return IndexerApp(
        pipeline=pipeline,
        runner=runner,
        consumer=consumer,
        writer=writer,
        index=index,
        revision=encoder.revision,
        executor=executor,
        metrics=metrics,
        progress=progress,
        probe=ReadinessProbe(progress, index, clock),
        clock=clock,
        verifier=verifier if verify else None,
    )


async def run_indexer(settings: IndexerSettings) -> None:
    """Run an indexer process until SIGTERM or SIGINT, which let it finish its batch.

    Raises:
        FatalError: the settings or the data need the operator; the message says what to do.
    """
    if settings.vectors.kind is VectorStoreKind.EDGE:
        raise ConfigurationError(
            "vectors.kind is edge, which one process owns alone, so no search worker could read it: "
            "run `ferroflux up`, or set FERROFLUX_VECTORS__KIND=qdrant"
        )
    log.info("indexer starts", settings=settings.redacted())
    mapping = load_mapping(settings.mapping, settings.default_tenant)
    encoder = await asyncio.to_thread(load_encoder, settings.encoder)
    index = await open_vector_index(settings.vectors)
    app = build_indexer(
        settings,
        index=index,
        encoder=encoder,
        parser=EventParser(mapping, settings.default_tenant),
        compose=partial(build_document, policy=mapping.policy),
        registry=REGISTRY,
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stopping.set)
    server = _http_server(settings, app)
    try:
        if server is not None:
            await server.start()
        await _run(settings, app, stopping)
    finally:
        await app.stop()
        await index.close()
        if server is not None:
            await server.stop()


def main(settings: IndexerSettings) -> None:
    """Run an indexer process to its end."""
    event_loop.run(run_indexer(settings))


async def _run(settings: IndexerSettings, app: IndexerApp, stopping: asyncio.Event) -> None:
    """Start, trying again while dependencies are away, and wait for a signal or for an error that needs the operator."""
    stopped = asyncio.ensure_future(stopping.wait())
    working = asyncio.ensure_future(_start_and_watch(settings, app))
    try:
        await asyncio.wait({stopped, working}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            raise working.result()
    finally:
        for task in (stopped, working):
            task.cancel()
        await asyncio.gather(stopped, working, return_exceptions=True)


async def _start_and_watch(settings: IndexerSettings, app: IndexerApp) -> FatalError:
    backoff, rng, failures = BackoffPolicy(base_s=0.5, cap_s=10.0), random.Random(), 0  # noqa: S311 - jitter, no secret
    while True:
        try:
            async with TopicAdmin(settings.kafka) as admin:
                await admin.ensure()
            await app.start()
        except RetryableError as error:
            failures += 1
            delay = backoff.delay(failures, rng)
            app.progress.batch_failed(time.monotonic(), error.code, str(error), resting_s=delay)
            log.warning("indexer cannot start yet", code=error.code, error=str(error), rest_s=round(delay, 3))
            await asyncio.sleep(delay)
        else:
            app.progress.failure = None
            app.progress.failures = 0
            return await app.failed()


def _http_server(settings: IndexerSettings, app: IndexerApp) -> HttpServer | None:
    if not settings.http.port:
        return None
    asgi = http_app(readiness=app.readiness, registry=app.metrics.registry, refresh=app.refresh_metrics)
    return HttpServer(asgi, host=settings.http.host, port=settings.http.port)
