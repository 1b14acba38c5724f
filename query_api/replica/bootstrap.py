"""The replica process's composition root: index, log, tailer, snapshots, HTTP, signals."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Coroutine
from functools import partial
from typing import Any, Final

import structlog

from query_api.aliases.tailer import AliasTailer
from query_api.replica.backoff import Backoff
from query_api.replica.log.kafka import KafkaDocumentLog
from query_api.replica.operations.http import OperationsServer, operations_app
from query_api.replica.operations.metrics import ReplicaMetrics
from query_api.replica.settings import ReplicaSettings
from query_api.replica.snapshots.errors import SnapshotStoreError
from query_api.replica.snapshots.restore import restore_newest
from query_api.replica.snapshots.schedule import SnapshotSchedule
from query_api.replica.snapshots.store import SnapshotStore
from query_api.replica.tailer import ReplicaTailer
from retrieval.aliases.file import AliasFile
from retrieval.serving import event_loop
from retrieval.text.factory import open_writer
from retrieval.text.storage import MEMORY_BACKED, file_system_of
from retrieval.text.tantivy_index.commit_files import holds_index
from schemas.errors import RetryableError

log = structlog.get_logger(__name__)

_RESTORE_ATTEMPTS: Final = 5
"""A snapshot saves time and nothing else: after so many failures the log gives the same replica, only later."""


def run_replica(settings: ReplicaSettings) -> None:
    """Run until SIGTERM or SIGINT; the commit that runs is finished first."""
    event_loop.run(_Replica(settings).serve())


class _Replica:
    """One replica process from its start to its end."""

    def __init__(self, settings: ReplicaSettings) -> None:
        self._settings = settings
        self._topic = settings.kafka.topics.documents
        self._directory = settings.text.directory
        self._metrics = ReplicaMetrics()
        self._stopping = asyncio.Event()
        self._tailer: ReplicaTailer | None = None

    async def serve(self) -> None:
        """Restore a snapshot where there is no index, then tail until a signal."""
        settings = self._settings
        server = OperationsServer(
            operations_app(self._not_ready, self._metrics.registry), host=settings.http.host, port=settings.http.port
        )
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self._stopping.set)
        log.info(
            "replica starts",
            directory=str(self._directory),
            file_system=file_system_of(self._directory),
            bootstrap=settings.kafka.bootstrap,
            topic=self._topic,
            tail=settings.tail.model_dump(),
        )
        if file_system_of(self._directory) not in MEMORY_BACKED:
            log.info(
                "the text index is on disk: every commit waits for some twenty synced files",
                remedy="for fresher searches, put FERROFLUX_TEXT__DIRECTORY on a memory-backed mount and set FERROFLUX_SNAPSHOTS__URL",
            )
        server.start()
        try:
            if settings.snapshots.url and settings.snapshots.restore and not holds_index(self._directory):
                await self._unless_stopping(self._restore())
            if not self._stopping.is_set():
                await self._tail()
        finally:
            await server.stop()

    def _not_ready(self) -> str | None:
        if self._tailer is None:
            return "the index is being opened, or restored from the newest snapshot"
        return self._tailer.not_ready

    def _open_log(self) -> KafkaDocumentLog:
        return KafkaDocumentLog(self._settings.kafka, self._settings.tail)

    def _open_alias_log(self) -> KafkaDocumentLog:
        return KafkaDocumentLog(self._settings.kafka, self._settings.tail, topic=self._settings.kafka.topics.aliases)

    def _backoff(self) -> Backoff:
        return Backoff(self._settings.tail.retry_first_s, self._settings.tail.retry_most_s)

    async def _unless_stopping(self, work: Coroutine[Any, Any, None]) -> None:
        """Await `work`, but not beyond a signal."""
        working, stopped = asyncio.create_task(work), asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            await _end(working, stopped)

    async def _restore(self) -> None:
        """Put the newest snapshot of our log in place. The log is asked for its identity first: nothing is served without it."""
        store = SnapshotStore(self._settings.snapshots.url)
        log_id = await self._log_id()
        backoff = self._backoff()
        for attempt in range(1, _RESTORE_ATTEMPTS + 1):
            try:
                await asyncio.to_thread(
                    partial(restore_newest, store, self._directory, topic=self._topic, log_id=log_id)
                )
            except SnapshotStoreError as error:
                log.warning("snapshot store is away", attempt=attempt, of=_RESTORE_ATTEMPTS, reason=str(error))
                await asyncio.sleep(backoff.next())
            else:
                return
        log.warning("no snapshot was restored; the replica is built from the log", store=store.name)

    async def _log_id(self) -> str:
        backoff = self._backoff()
        while True:
            document_log = self._open_log()
            try:
                return (await document_log.open()).log_id
            except RetryableError as error:
                log.warning("the log is away", code=error.code, error=str(error))
                await asyncio.sleep(backoff.next())
            finally:
                await document_log.close()

    async def _tail(self) -> None:
        writer = await asyncio.to_thread(open_writer, self._settings.text.index)
        try:
            tailer = self._tailer = ReplicaTailer(
                writer,
                self._open_log,
                topic=self._topic,
                report_to=self._directory,
                backoff=self._backoff(),
                metrics=self._metrics,
            )
            aliases = AliasTailer(AliasFile(self._directory), self._open_alias_log, backoff=self._backoff())
            aliases.start()
            tailing = asyncio.create_task(tailer.run(), name="replica-tailer")
            snapshots = asyncio.create_task(self._take_snapshots(tailer), name="snapshots")
            stopped = asyncio.create_task(self._stopping.wait())
            try:
                # The schedule ends only with a defect of ours, which must not pass unseen.
                await asyncio.wait({tailing, snapshots, stopped}, return_when=asyncio.FIRST_COMPLETED)
                tailer.request_stop()
                await tailing
                if snapshots.done():
                    snapshots.result()
            finally:
                await _end(snapshots, stopped)
                await aliases.stop()
        finally:
            await asyncio.to_thread(writer.close)
        log.info("replica stopped", written=tailer.report.written, outdated=tailer.report.outdated)

    async def _take_snapshots(self, tailer: ReplicaTailer) -> None:
        if not self._settings.snapshots.url:
            await asyncio.Event().wait()
        schedule = SnapshotSchedule(
            self._directory,
            self._settings.snapshots,
            topic=self._topic,
            log_of_replica=lambda: tailer.report.log_id if tailer.not_ready is None else None,
            metrics=self._metrics,
            rng=random.Random(),  # noqa: S311 - it only keeps replicas apart
        )
        await schedule.run()


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
