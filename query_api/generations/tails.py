"""All the generations that one replica process holds, and what it passes on: the pointer to the workers, their state to operators.

    catalog.generations ──▶ generations.json ──▶ search workers ──▶ workers/*.json ──▶ catalog.generations (reports)

Generations come and go without a restart. The live one decides the process's fate; another that cannot be held is told
in the log and in the reports, and is tried again.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import time
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from query_api.generations.reports import WorkerReports
from query_api.generations.tail import GenerationTail, clear_text_folder
from query_api.replica.settings import ReplicaSettings
from retrieval.aliases.file import FILE_NAME as ALIASES_FILE
from retrieval.generations.file import FILE_NAME as GENERATIONS_FILE
from retrieval.generations.file import GenerationFile
from retrieval.generations.fitting import text_folder
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.generations.view import GenerationView, Records, view_of
from retrieval.text.tantivy_index.compatibility import current_metadata
from schemas.errors import FerrofluxError
from schemas.generations import MAIN, Generation, ReplicaReport, Stage

log = structlog.get_logger(__name__)

_TRY_AGAIN_S: Final = 30.0
_REPORT_EVERY_S: Final = 2.0
_REPORT_AT_LEAST_EVERY_S: Final = 10.0
_SHARED_FILES: Final = frozenset({GENERATIONS_FILE, f"{GENERATIONS_FILE}.lock", ALIASES_FILE})


class GenerationTails(Collector):
    """The replicas of one process. As a collector of metrics it gives those of the live one, and a line for each generation."""

    def __init__(self, settings: ReplicaSettings, store: KafkaGenerationStore) -> None:
        self._settings = settings
        self._store = store
        self._root = settings.text.directory
        self._file = GenerationFile(self._root)
        self._workers = WorkerReports(settings.text.reports_folder)
        self._view: GenerationView | None = None
        self._tails: dict[str, GenerationTail] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._troubles: dict[str, str] = {}
        self._failed: asyncio.Future[BaseException] | None = None

    @property
    def not_ready(self) -> str | None:
        """What the live generation's replica waits for; None when it is whole and follows the log."""
        if self._view is None:
            return "Kafka has not told yet which generations there are"
        live = self._view.live
        tail = self._tails.get(live)
        return self._troubles.get(live) or (f"generation {live} is being opened" if tail is None else tail.not_ready)

    async def run(self, stopping: asyncio.Event) -> None:
        """Hold every generation until a stop is asked for; raises what ended the live one."""
        self._failed = asyncio.get_running_loop().create_future()
        held = await asyncio.to_thread(self._file.read)
        if held:
            # What is on disk is served at once, while Kafka may still be away.
            await self._follow(view_of(held))
        work = [
            asyncio.create_task(self._store.follow(self._hear), name="follow-generations"),
            asyncio.create_task(self._report(), name="report"),
        ]
        stopped = asyncio.create_task(stopping.wait())
        failing = asyncio.ensure_future(self._failure())
        try:
            await asyncio.wait({*work, stopped, failing}, return_when=asyncio.FIRST_COMPLETED)
            if failing.done():
                raise failing.result()
            for task in work:
                if task.done():
                    task.result()  # they end only with a defect of ours
        finally:
            for other in (*work, stopped, failing):
                other.cancel()
            await asyncio.gather(*work, stopped, failing, return_exceptions=True)
            await self._let_go(list(self._tasks))
            await self._store.close()

    def collect(self) -> Iterable[Metric]:
        """The live replica's metrics under their own names, and whether each generation is whole here."""
        ready = GaugeMetricFamily(
            "ferroflux_replica_generation_ready",
            "Whether the generation's replica is whole here.",
            labels=["generation"],
        )
        for name, tail in list(self._tails.items()):
            ready.add_metric([name], float(tail.not_ready is None))
        yield ready
        live = None if self._view is None else self._tails.get(self._view.live)
        if live is not None:
            yield from live.metrics.registry.collect()

    async def _failure(self) -> BaseException:
        assert self._failed is not None
        return await self._failed

    async def _hear(self, records: Records) -> None:
        if records or self._file.stamp() is not None:
            held = await asyncio.to_thread(self._file.read)
            if held != records:
                # The workers see it before the replicas change: a generation that is let go is not answered from.
                await asyncio.to_thread(self._file.write, records)
        await self._follow(view_of(records))

    async def _follow(self, view: GenerationView) -> None:
        self._view = view
        wanted = view.replicated()
        await self._let_go([name for name in self._tasks if name not in wanted])
        await asyncio.to_thread(self._remove_leftovers, view)
        for name in wanted:
            if name not in self._tasks:
                manifest = view.manifests.get(name)
                log.info("generation is replicated", generation=name, live=view.live)
                self._tasks[name] = asyncio.create_task(self._hold(name, manifest), name=f"replica-{name}")

    async def _hold(self, name: str, manifest: Generation | None) -> None:
        while True:
            tail = self._tails[name] = GenerationTail(
                self._settings, manifest, takes_snapshots=lambda: self._view is not None and self._view.live == name
            )
            try:
                await tail.run()
            except Exception as error:
                self._troubles[name] = str(error)
                if self._view is not None and self._view.live == name:
                    assert self._failed is not None
                    if not self._failed.done():
                        self._failed.set_result(error)
                    return
                log.exception("generation is not replicated", generation=name, again_in_s=_TRY_AGAIN_S)
                await asyncio.sleep(_TRY_AGAIN_S)
                self._troubles.pop(name, None)
            else:
                return

    async def _let_go(self, names: list[str]) -> None:
        tasks = [self._tasks.pop(name) for name in names]
        for name, task in zip(names, tasks, strict=True):
            tail = self._tails.get(name)
            if tail is None or name in self._troubles:
                task.cancel()  # it has not begun, or rests after a failure
            else:
                tail.request_stop()
        await asyncio.gather(*tasks, return_exceptions=True)
        for name in names:
            self._tails.pop(name, None)
            self._troubles.pop(name, None)

    def _remove_leftovers(self, view: GenerationView) -> None:
        """Remove the folders of generations that are gone, also of those that went while this process did not run."""
        kept = {text_folder(self._root, manifest).name for manifest in view.manifests.values()}
        folder = self._root / "generations"
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name not in kept:
                log.info("replica of a dropped generation is removed", folder=path.name)
                shutil.rmtree(path, ignore_errors=True)
        if view.stage(MAIN) is Stage.DROPPED and self._root.is_dir():
            clear_text_folder(self._root, _SHARED_FILES)

    async def _report(self) -> None:
        """Tell operators what keeps whom from which generation; a system without generations tells nothing."""
        last: tuple[dict[str, str], list[tuple[str, dict[str, str]]]] | None = None
        told_at = 0.0
        while True:
            await asyncio.sleep(_REPORT_EVERY_S)
            view = self._view
            if view is None or not view.manifests:
                continue
            report = await asyncio.to_thread(self._current, view)
            said = (report.ready, [(worker.serving, worker.ready) for worker in report.workers])
            if said == last and time.monotonic() - told_at < _REPORT_AT_LEAST_EVERY_S:
                continue
            try:
                await self._store.report(report)
            except FerrofluxError as error:
                log.warning("the replica could not report", reason=str(error))
            else:
                last, told_at = said, time.monotonic()

    def _current(self, view: GenerationView) -> ReplicaReport:
        text = current_metadata()
        now_us = time.time_ns() // 1000
        ready = {}
        for name in view.replicated():
            tail = self._tails.get(name)
            ready[name] = self._troubles.get(name) or ("it is being opened" if tail is None else tail.not_ready or "")
        return ReplicaReport(
            replica=self._name(),
            text_schema=text["schema"],
            analyser=text["analyser"],
            ready=ready,
            workers=self._workers.read(now_us),
            written_us=now_us,
        )

    def _name(self) -> str:
        """The machine's name and the folder's digest: the same over restarts, another for another folder."""
        folder = blake2b(str(self._root.absolute()).encode(), digest_size=4).hexdigest()
        return f"{socket.gethostname()}-{folder}"
