"""The text replica of one generation: restored from a snapshot where there is no index, then tailed until it is let go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from query_api.replica.settings import ReplicaSettings
from query_api.replica.snapshots.manifest import SnapshotStoreError
from query_api.replica.snapshots.restore import restore_newest
from query_api.replica.snapshots.schedule import SnapshotSchedule
from query_api.replica.snapshots.store import SnapshotStore
from query_api.replica.tailing.kafka import KafkaDocumentLog
from query_api.replica.tailing.letters import LetterBox
from query_api.replica.tailing.metrics import ReplicaMetrics
from query_api.replica.tailing.tailer import ReplicaTailer
from retrieval.generations.fitting import require_text_fit, text_folder
from retrieval.text.factory import open_writer
from retrieval.text.tantivy_index.commit_files import holds_index
from runtime.retry import Backoff, retry
from runtime.supervision import Supervisor
from schemas.records.generations import Generation

log = structlog.get_logger(__name__)

_RESTORE_ATTEMPTS: Final = 5
"""A snapshot saves time and nothing else: after so many failures the log gives the same replica, only later."""


class GenerationFollower:
    """One generation's replica in a folder of its own. `takes_snapshots` says whether it is this one's turn: the live one's."""

    def __init__(
        self,
        settings: ReplicaSettings,
        manifest: Generation,
        *,
        supervisor: Supervisor,
        letters: LetterBox | None,
        takes_snapshots: Callable[[], bool],
    ) -> None:
        self.name = manifest.name
        self.metrics = ReplicaMetrics()
        self.topic = manifest.documents
        self.directory = text_folder(settings.text.directory, manifest)
        self._settings = settings
        self._manifest = manifest
        self._supervisor = supervisor
        self._letters = letters
        self._takes_snapshots = takes_snapshots
        self._stopping = asyncio.Event()
        self._tailer: ReplicaTailer | None = None

    @property
    def not_ready(self) -> str | None:
        """What is waited for; None when the replica is whole and follows the log."""
        if self._tailer is None:
            return "the index is being opened, or restored from the newest snapshot"
        return self._tailer.not_ready

    @property
    def degraded(self) -> dict[str, str]:
        """What is not as it should be although the replica answers, by part."""
        return {} if self._tailer is None else self._tailer.degraded

    def request_stop(self) -> None:
        """Ask `run` to return, from the loop's own thread; the commit that runs is finished first."""
        self._stopping.set()
        if self._tailer is not None:
            self._tailer.request_stop()

    async def run(self) -> None:
        """Restore where there is no index, then follow the log until a stop is asked for.

        Raises:
            GenerationUnfitError: this version cannot write the generation's text index.
            FatalError: the index on disk cannot be used.
        """
        settings = self._settings
        require_text_fit(self._manifest)
        if settings.snapshots.url and settings.snapshots.restore and not holds_index(self.directory):
            await self._unless_stopping(self._restore())
        if not self._stopping.is_set():
            await self._tail()

    def _open_log(self) -> KafkaDocumentLog:
        return KafkaDocumentLog(self._settings.kafka, self._settings.tail, topic=self.topic)

    def _backoff(self) -> Backoff:
        return Backoff(self._settings.tail.backoff)

    async def _unless_stopping(self, work: Coroutine[Any, Any, None]) -> None:
        """Await `work`, but not beyond a stop."""
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
        restoring = partial(
            asyncio.to_thread,
            restore_newest,
            store,
            self.directory,
            topic=self.topic,
            log_id=log_id,
            oldest_s=self._settings.snapshots.oldest_s,
        )
        try:
            await retry(
                restoring,
                "snapshot store is away",
                backoff=self._backoff(),
                errors=SnapshotStoreError,
                attempts=_RESTORE_ATTEMPTS,
            )
        except SnapshotStoreError as error:
            log.warning(
                "no snapshot was restored; the replica is built from the log", store=store.name, reason=str(error)
            )

    async def _log_id(self) -> str:
        async def ask() -> str:
            document_log = self._open_log()
            try:
                return (await document_log.open()).log_id
            finally:
                await document_log.close()

        return await retry(ask, "the log is away", backoff=self._backoff())

    async def _tail(self) -> None:
        index = self._settings.text.index.model_copy(update={"directory": self.directory})
        writer = await asyncio.to_thread(open_writer, index)
        try:
            tailer = self._tailer = ReplicaTailer(
                writer,
                self._open_log,
                topic=self.topic,
                report_to=self.directory,
                backoff=self._backoff(),
                letters=self._letters,
                metrics=self.metrics,
            )
            async with self._snapshots(tailer):
                await tailer.run()
        finally:
            self._tailer = None
            await asyncio.to_thread(writer.close)
        log.info(
            "replica stopped", generation=self.name, written=tailer.report.written, outdated=tailer.report.outdated
        )

    @asynccontextmanager
    async def _snapshots(self, tailer: ReplicaTailer) -> AsyncIterator[None]:
        """Take them while the block lasts. A replica needs none: their failure is told, and ends nothing."""
        if not self._settings.snapshots.url:
            yield
            return

        def log_of_replica() -> str | None:
            return tailer.report.log_id if tailer.not_ready is None and self._takes_snapshots() else None

        schedule = SnapshotSchedule(
            self.directory,
            self._settings.snapshots,
            topic=self.topic,
            log_of_replica=log_of_replica,
            metrics=self.metrics,
            rng=random.Random(),  # noqa: S311 - it only keeps replicas apart
        )
        taking = self._supervisor.start(
            "snapshots", schedule.run, instance=self.name, ready_without=True, decides=lambda: False
        )
        try:
            yield
        finally:
            await taking.stop()


def clear_text_folder(root: Path, keep: frozenset[str]) -> None:
    """Remove the text index of `main` from a replica's folder, whose other content stays: files named in `keep`, and folders."""
    for path in root.iterdir():
        if path.is_file() and path.name not in keep:
            path.unlink(missing_ok=True)


async def _end(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
