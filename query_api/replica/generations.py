"""All the generations that one replica process holds, and what it passes on: the pointer to the workers, their state to operators.

    catalog.generations ──▶ generations.json ──▶ search workers ──▶ workers/*.json ──▶ catalog.generations (reports)

Generations come and go without a restart. The live one decides the process's fate; another that cannot be held is told
in the log and in the reports, and is tried again.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Iterable
from functools import partial
from hashlib import blake2b
from typing import Final

import structlog
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from query_api.replica.generation import GenerationFollower, clear_text_folder
from query_api.replica.settings import ReplicaSettings
from query_api.replica.tailing.aliases import APART_FILE
from query_api.replica.tailing.letters import LetterBox
from query_api.replica.worker_reports import WorkerReports
from retrieval.aliases.file import FILE_NAME as ALIASES_FILE
from retrieval.generations.file import FILE_NAME as GENERATIONS_FILE
from retrieval.generations.file import GenerationFile
from retrieval.generations.fitting import configured, text_folder
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.generations.supervisor import GenerationSupervisor
from retrieval.generations.view import GenerationView, Records, view_of
from retrieval.text.tantivy_index.compatibility import current_metadata
from runtime.clock import SYSTEM_CLOCK
from runtime.supervision import Supervisor
from schemas.errors import FerrofluxError
from schemas.records.generations import MAIN, Generation, GenerationStage, ReplicaReport

log = structlog.get_logger(__name__)

_REPORT_EVERY_S: Final = 2.0
_REPORT_AT_LEAST_EVERY_S: Final = 10.0
_SHARED_FILES: Final = frozenset({GENERATIONS_FILE, f"{GENERATIONS_FILE}.lock", ALIASES_FILE, APART_FILE})


class GenerationFollowers(Collector):
    """The replicas of one process, under its supervisor. As a collector of metrics it gives those of the live one, and a line for each generation."""

    def __init__(
        self,
        settings: ReplicaSettings,
        store: KafkaGenerationStore,
        supervisor: Supervisor,
        *,
        letters: LetterBox | None = None,
    ) -> None:
        self._settings = settings
        self._letters = letters
        self._store = store
        self._root = settings.text.directory
        self._file = GenerationFile(self._root)
        self._workers = WorkerReports(settings.text.reports_folder)
        self._followers: dict[str, GenerationFollower] = {}
        self._supervisor = supervisor
        self._generations = GenerationSupervisor(
            supervisor, "replica", self._hold, wanted=GenerationView.replicated, ask_to_end=self._request_stop
        )

    @property
    def not_ready(self) -> str | None:
        """What the live generation's replica waits for; None when it is whole and follows the log."""
        if self._generations.view is None:
            return "Kafka has not told yet which generations there are"
        live = self._generations.view.live
        follower = self._followers.get(live)
        return self._generations.trouble(live) or (
            f"generation {live} is being opened" if follower is None else follower.not_ready
        )

    @property
    def degraded(self) -> dict[str, str]:
        """What is not as it should be although the replicas answer, by generation and part."""
        followers = sorted(self._followers.items())
        return {f"{name}: {part}": why for name, follower in followers for part, why in follower.degraded.items()}

    async def start(self) -> None:
        """Hold every generation that is known, and follow which there are."""
        held = await asyncio.to_thread(self._file.read)
        if held:
            # What is on disk is served at once, while Kafka may still be away.
            await self._follow(held)
        self._supervisor.start("follow-generations", lambda: self._store.follow(self._hear))
        self._supervisor.start("report-replica", self._report, ready_without=True)

    async def stop(self) -> None:
        """Let every replica finish its commit and end. The supervisor's other tasks have ended before."""
        await self._generations.stop()
        await self._store.close()

    def collect(self) -> Iterable[Metric]:
        """The live replica's metrics under their own names, and whether each generation is whole here."""
        ready = GaugeMetricFamily(
            "ferroflux_replica_generation_ready",
            "Whether the generation's replica is whole here.",
            labels=["generation"],
        )
        for name, follower in list(self._followers.items()):
            ready.add_metric([name], float(follower.not_ready is None))
        yield ready
        live = None if self._generations.view is None else self._followers.get(self._generations.view.live)
        if live is not None:
            yield from live.metrics.registry.collect()

    async def _hear(self, records: Records) -> None:
        if records or self._file.stamp() is not None:
            held = await asyncio.to_thread(self._file.read)
            if held != records:
                # The workers see it before the replicas change: a generation that is let go is not answered from.
                await asyncio.to_thread(self._file.write, records)
        await self._follow(records)

    async def _follow(self, records: Records) -> None:
        view = view_of(records, configured(documents=self._settings.kafka.topics.documents))
        await self._generations.follow(view)
        for name in self._followers.keys() - set(view.replicated()):
            del self._followers[name]
        await asyncio.to_thread(self._remove_leftovers, view)

    async def _hold(self, manifest: Generation) -> None:
        follower = self._followers[manifest.name] = GenerationFollower(
            self._settings,
            manifest,
            supervisor=self._supervisor,
            letters=self._letters,
            takes_snapshots=partial(self._generations.is_live, manifest.name),
        )
        await follower.run()

    def _request_stop(self, name: str) -> None:
        self._followers[name].request_stop()

    def _remove_leftovers(self, view: GenerationView) -> None:
        """Remove the folders of generations that are gone, also of those that went while this process did not run."""
        kept = {text_folder(self._root, manifest).name for manifest in view.manifests.values()}
        folder = self._root / "generations"
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.name not in kept:
                log.info("replica of a dropped generation is removed", folder=path.name)
                shutil.rmtree(path, ignore_errors=True)
        if view.stage(MAIN) is GenerationStage.DROPPED and self._root.is_dir():
            clear_text_folder(self._root, _SHARED_FILES)

    async def _report(self) -> None:
        """Tell operators what keeps whom from which generation; a system without generations tells nothing."""
        last: tuple[dict[str, str], list[tuple[str, dict[str, str]]]] | None = None
        told_at = 0.0
        while True:
            await asyncio.sleep(_REPORT_EVERY_S)
            view = self._generations.view
            if view is None or view.names() == (MAIN,):
                continue
            report = await asyncio.to_thread(self._current, view)
            said = (report.ready, [(worker.serving, worker.ready) for worker in report.workers])
            if said == last and SYSTEM_CLOCK.monotonic() - told_at < _REPORT_AT_LEAST_EVERY_S:
                continue
            try:
                await self._store.report(report)
            except FerrofluxError as error:
                log.warning("the replica could not report", reason=str(error))
            else:
                last, told_at = said, SYSTEM_CLOCK.monotonic()

    def _current(self, view: GenerationView) -> ReplicaReport:
        text = current_metadata()
        now_us = SYSTEM_CLOCK.now_us()
        ready = {}
        for name in view.replicated():
            follower = self._followers.get(name)
            ready[name] = self._generations.trouble(name) or (
                "it is being opened" if follower is None else follower.not_ready or ""
            )
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
