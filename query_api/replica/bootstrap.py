"""The replica process's composition root: generations, aliases, signals, and /healthz, /readyz and /metrics on a port of its own."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from query_api.replica.generations import GenerationFollowers
from query_api.replica.settings import ReplicaSettings
from query_api.replica.tailing.aliases import AliasTailer
from query_api.replica.tailing.kafka import KafkaDocumentLog, KafkaLetterBox
from retrieval.aliases.file import AliasFile
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.text.storage import MEMORY_BACKED, file_system_of
from runtime import event_loop
from runtime.http.server import HttpServer
from runtime.kafka.log_writer import LogWriter
from runtime.observability.metrics import TaskMetrics
from runtime.retry import Backoff
from runtime.rights.gate import require_declared_roles
from runtime.supervision import Supervisor

log = structlog.get_logger(__name__)


def run_replica(settings: ReplicaSettings) -> None:
    """Run until SIGTERM or SIGINT; the commit that runs is finished first.

    Raises:
        FatalError: the live generation's replica, or another task that the process needs, failed for good.
    """
    event_loop.run(_serve(settings))


async def _serve(settings: ReplicaSettings) -> None:
    """Hold every generation's replica, and follow the aliases, until a signal."""
    registry = CollectorRegistry()
    supervisor = Supervisor(TaskMetrics(registry))
    producer = LogWriter(settings.kafka)
    letters = KafkaLetterBox(producer, settings.kafka.topics.dead_letters)
    followers = GenerationFollowers(settings, KafkaGenerationStore(settings.kafka), supervisor, letters=letters)
    registry.register(followers)
    aliases = AliasTailer(
        AliasFile(settings.text.directory),
        lambda: KafkaDocumentLog(settings.kafka, settings.tail, topic=settings.kafka.topics.aliases),
        backoff=Backoff(settings.tail.backoff),
        topic=settings.kafka.topics.aliases,
        letters=letters,
    )
    app = operations_app(
        lambda: followers.not_ready or "; ".join(supervisor.waiting.values()) or None,
        registry,
        degraded=lambda: supervisor.degraded | followers.degraded | aliases.degraded,
    )
    server = HttpServer(
        host=settings.http.host, port=settings.http.port, remedy="set FERROFLUX_HTTP__PORT to a free port"
    )
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stopping.set)
    log.info(
        "replica starts",
        directory=str(settings.text.directory),
        file_system=file_system_of(settings.text.directory),
        bootstrap=settings.kafka.bootstrap,
        topic=settings.kafka.topics.documents,
        tail=settings.tail.model_dump(),
    )
    if file_system_of(settings.text.directory) not in MEMORY_BACKED:
        log.info(
            "the text index is on disk: every commit waits for some twenty synced files",
            remedy="for fresher searches, put FERROFLUX_TEXT__DIRECTORY on a memory-backed mount and set FERROFLUX_SNAPSHOTS__URL",
        )
    server.listen()
    supervisor.start("http", lambda: server.serve(app), ask_to_end=server.ask_to_end)
    try:
        # What aliases were read before is in the file: searches do without newer ones.
        supervisor.start("alias-tailer", aliases.run, backoff=settings.tail.backoff, ready_without=True)
        await followers.start()
        await supervisor.run_until(stopping)
    finally:
        await supervisor.stop()
        await followers.stop()
        await producer.stop()


def operations_app(
    not_ready: Callable[[], str | None], registry: Collector, *, degraded: Callable[[], Mapping[str, str]] = dict
) -> Starlette:
    """The three endpoints. `not_ready` gives what is waited for, None when ready; `degraded` what is wrong all the same."""

    async def healthz(_request: Request) -> Response:
        # Answering is the health: this runs on the loop that tails, and a tailer that fails for good ends the process.
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        reason = not_ready()
        if reason is None:
            wrong = dict(degraded())
            return JSONResponse({"status": "ready", "degraded": wrong} if wrong else {"status": "ready"})
        return JSONResponse({"status": "not_ready", "waiting_for": reason}, status_code=503)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    app = Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
    require_declared_roles(app)
    return app
