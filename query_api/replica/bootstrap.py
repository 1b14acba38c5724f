"""The replica process's composition root: index, log, tailer, HTTP, signals."""

from __future__ import annotations

import asyncio
import signal

import structlog

from query_api.replica.backoff import Backoff
from query_api.replica.log.kafka import KafkaDocumentLog
from query_api.replica.operations.http import OperationsServer, operations_app
from query_api.replica.settings import ReplicaSettings
from query_api.replica.tailer import ReplicaTailer
from retrieval.text.factory import open_writer

log = structlog.get_logger(__name__)


def run_replica(settings: ReplicaSettings) -> None:
    """Run until SIGTERM or SIGINT; the commit that runs is finished first."""
    asyncio.run(_serve(settings))


async def _serve(settings: ReplicaSettings) -> None:
    directory = settings.text.directory
    writer = await asyncio.to_thread(open_writer, settings.text.index)
    try:
        tailer = ReplicaTailer(
            writer,
            lambda: KafkaDocumentLog(settings.kafka, settings.tail),
            topic=settings.kafka.topics.documents,
            report_to=directory,
            backoff=Backoff(settings.tail.retry_first_s, settings.tail.retry_most_s),
        )
        server = OperationsServer(
            operations_app(lambda: tailer.not_ready, tailer.metrics.registry),
            host=settings.http.host,
            port=settings.http.port,
        )
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, tailer.request_stop)
        log.info(
            "replica starts",
            directory=str(directory),
            bootstrap=settings.kafka.bootstrap,
            topic=settings.kafka.topics.documents,
            tail=settings.tail.model_dump(),
        )
        server.start()
        try:
            await tailer.run()
        finally:
            await server.stop()
    finally:
        await asyncio.to_thread(writer.close)
    log.info("replica stopped", written=tailer.report.written, outdated=tailer.report.outdated)
