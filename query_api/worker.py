"""One search worker: it loads every generation that can answer, answers from the live one, and follows the pointer.

The worker starts answering health checks at once and becomes ready when the live generation is. The pointer lies in a
file beside the text replica. When it moves, the worker swaps one reference to a generation that it has loaded already;
where it has not, it goes on with the one before until it has. A query takes the reference once, at its start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog

from query_api.aliases.watch import AliasWatch
from query_api.catalogue_view import CatalogueView
from query_api.freshness import FreshnessWindow, VisibleDocument
from query_api.generations.reports import REPORT_EVERY_S, WorkerReports
from query_api.generations.serving import Pace, Ready, Serving, Stores
from query_api.status_file import ReplicaStatus
from query_api.status_report import reranker_status
from retrieval.aliases.file import AliasFile
from retrieval.aliases.live import LiveAliases
from retrieval.aliases.shipped import shipped_aliases
from retrieval.complements.finder import ComplementFinder
from retrieval.encoders.port import TextEncoder
from retrieval.generations.file import GenerationFile, Stamp
from retrieval.generations.view import GenerationView, view_of
from retrieval.search.hybrid import HybridSearcher
from retrieval.search.settings import SearchSettings
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorIndex
from runtime.clock import SYSTEM_CLOCK
from runtime.supervision import Supervisor
from schemas.api.status import RerankerStatus
from schemas.errors import NotReadyError, RetryableError
from schemas.generations import Generation, WorkerReport

__all__ = ["Answering", "Pace", "Stores", "Worker"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

_LOOK_EVERY_S: Final = 0.1
"""How soon a move of the pointer is followed."""
_ALIASES_EVERY_LOOKS: Final = 3
_CLOSE_GRACE_S: Final = 30.0

StoresOf = Callable[[Generation | None], Stores]
"""The stores of a generation; None stands for `main`."""


class ReportsFolderError(RetryableError):
    """The worker cannot report to the replica, so no generation can be promoted. Set FERROFLUX_TEXT__REPORTS of replica and API to a folder that both can write."""

    code = "reports_folder"


@dataclass(frozen=True, slots=True)
class Answering:
    """The generation that one query is answered from, with all its parts."""

    generation: str
    parts: Ready


class Worker:
    """The running state behind the HTTP face. Started and stopped by the application's lifespan.

    `folder` is where the file of generations lies, `reports` where workers report; None where there is one generation only,
    and nobody to report to. The background tasks run under `supervisor`, whose failure is to end the process.
    """

    def __init__(
        self,
        stores_of: StoresOf,
        search: SearchSettings,
        pace: Pace,
        *,
        folder: Path | None = None,
        reports: Path | None = None,
        supervisor: Supervisor | None = None,
        on_visible: Callable[[VisibleDocument], None] = lambda _: None,
    ) -> None:
        self._stores_of = stores_of
        self._search = search
        self._pace = pace
        self._on_visible = on_visible
        self._file = GenerationFile(folder) if folder is not None else None
        self._reports = WorkerReports(reports) if reports is not None else None
        self._stamp: Stamp | None = None
        self._view = GenerationView()
        self._loaded: dict[str, Serving] = {}
        self._current: Serving | None = None
        self.supervisor = supervisor or Supervisor()
        self._closing: set[asyncio.Task[None]] = set()
        self._blocking = ThreadPoolExecutor(2, thread_name_prefix="worker")
        self.aliases = LiveAliases(shipped_aliases())
        self.complements = ComplementFinder(self.aliases)
        self.catalogue = CatalogueView(self)
        self._alias_watch = AliasWatch(AliasFile(folder) if folder is not None else None, self.aliases)

    async def start(self) -> None:
        """Begin to open the parts; returns at once."""
        self._look()
        self._follow_view()
        # A file that cannot be read ends no worker: what is loaded goes on, and readiness says what is wrong.
        self.supervisor.start("watch-files", self._watch, decides=lambda: False)
        if self._reports is not None:
            self.supervisor.start("report-worker", self._report, ready_without=True)

    async def stop(self) -> None:
        """End the tasks and let go of the stores that are the worker's own."""
        await self.supervisor.stop()
        loaded = list(self._loaded.values())
        if self._current is not None and self._current not in loaded:
            loaded.append(self._current)
        await asyncio.gather(*(one.close(grace_s=0.0) for one in loaded), *self._closing)
        if self._reports is not None:
            self._reports.withdraw()
        self._blocking.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def answering(self, generation: str = "") -> Iterator[Answering]:
        """Hold the generation that answers, or a prepared one by name, for the length of one query.

        Raises:
            NotReadyError: it is not ready, or there is none of that name.
        """
        serving = self._current_or_coming() if not generation else self._loaded.get(generation)
        if serving is None:
            raise NotReadyError(f"there is no generation {generation!r} here that could answer")
        with serving.held() as parts:
            yield Answering(serving.name, parts)

    @property
    def generation(self) -> str:
        """The generation that answers; before any does, the one that will."""
        return self._current_or_coming().name

    @property
    def live(self) -> str:
        """The generation that the pointer names; it is loaded where another still answers."""
        return self._view.live

    @property
    def generations(self) -> dict[str, str]:
        """Every generation that can answer here, and what keeps it from that; empty text: nothing."""
        return {name: _reason(serving) for name, serving in self._loaded.items()}

    @property
    def waiting_for(self) -> dict[str, str]:
        """What is not ready, by part, as a sentence; empty when the worker is ready."""
        return {**self.supervisor.waiting, **self._current_or_coming().waiting}

    @property
    def degraded(self) -> dict[str, str]:
        """What is wrong though the worker answers, by background task, as a sentence."""
        return self.supervisor.degraded

    @property
    def searcher(self) -> HybridSearcher:
        """The searcher of the generation that answers.

        Raises:
            NotReadyError: some part is not ready.
        """
        return self._current_or_coming().ready.searcher

    @property
    def reader(self) -> TextIndexReader:
        """The text replica, for reads that need nothing else.

        Raises:
            NotReadyError: the replica is not open or not whole.
        """
        return self._current_or_coming().reader

    @property
    def vectors(self) -> VectorIndex | None:
        """The vector store, once it answered."""
        return self._current_or_coming().vectors

    @property
    def encoder(self) -> TextEncoder | None:
        """The encoder, once it is loaded."""
        return self._current_or_coming().encoder

    @property
    def reranker_status(self) -> RerankerStatus | None:
        """The reranker, once it is loaded; None where none is configured."""
        revision = None if self.waiting_for else self.searcher.reranker
        return None if revision is None else reranker_status(revision, self._search.rerank)

    @property
    def replica_status(self) -> ReplicaStatus | None:
        """The tailer's newest report; None where none was written."""
        return self._current_or_coming().replica_status

    @property
    def replica_is_stale(self) -> bool:
        """Whether the tailer's heartbeat is too old."""
        return self._current_or_coming().replica_is_stale

    @property
    def freshness(self) -> FreshnessWindow:
        """How soon changes become visible in the generation that answers."""
        return self._current_or_coming().freshness

    async def off_loop(self, work: Callable[[], T]) -> T:
        """Run a short blocking read of the replica on the worker's own threads."""
        return await asyncio.get_running_loop().run_in_executor(self._blocking, work)

    def report(self) -> WorkerReport:
        """What this worker answers from, and what keeps it from the others."""
        name = "worker" if self._reports is None else self._reports.name
        serving = self._current.name if self._current is not None else ""
        return WorkerReport(worker=name, serving=serving, ready=self.generations, written_us=SYSTEM_CLOCK.now_us())

    def _current_or_coming(self) -> Serving:
        if self._current is not None:
            return self._current
        live = self._loaded.get(self._view.live)
        if live is None:
            raise NotReadyError("the worker is not ready (it is starting); try again in a moment")
        return live

    async def _watch(self) -> None:
        """Follow the file of generations and that of aliases."""
        looks = 0
        while True:
            if await self.off_loop(self._look):
                self._follow_view()
            if looks % _ALIASES_EVERY_LOOKS == 0:
                await self.off_loop(self._alias_watch.look)
            looks += 1
            await asyncio.sleep(_LOOK_EVERY_S)

    def _look(self) -> bool:
        """Read the file of generations if it changed; whether it did. Blocking and cheap where nothing changed."""
        if self._file is None:
            return False
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return False
        self._view = view_of(self._file.read())
        self._stamp = stamp
        return True

    def _follow_view(self) -> None:
        """Load what can answer, answer from what is live, let go of what was dropped."""
        wanted = self._view.prepared()
        for name in wanted:
            if name not in self._loaded:
                self._load(name)
        self._answer_from_live()
        for name in [name for name in self._loaded if name not in wanted]:
            serving = self._loaded.pop(name)
            if serving is not self._current:
                self._let_go(serving)

    def _load(self, name: str) -> None:
        manifest = self._view.manifests.get(name)
        serving = Serving(
            manifest,
            self._stores_of(manifest),
            self._search,
            self._pace,
            aliases=self.aliases,
            blocking=self._blocking,
            supervisor=self.supervisor,
            on_ready=self._answer_from_live,
            decides=lambda: self._view.live == name,
        )
        serving.freshness.on_visible = lambda document: self._visible(serving, document)
        self._loaded[name] = serving
        serving.start()

    def _answer_from_live(self) -> None:
        """The swap: one assignment between two queries, once the live generation is loaded."""
        serving = self._loaded.get(self._view.live)
        before = self._current
        if serving is None or serving is before or not serving.is_ready:
            return
        self._current = serving
        log.info("answers from", generation=serving.name, before="" if before is None else before.name)
        if before is not None and before.name not in self._loaded:
            self._let_go(before)

    def _let_go(self, serving: Serving) -> None:
        async def close() -> None:
            try:
                await serving.close(grace_s=_CLOSE_GRACE_S)
            except Exception:
                log.exception("a generation was not let go in order", generation=serving.name)

        task = asyncio.create_task(close(), name=f"let-go-{serving.name}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _visible(self, serving: Serving, document: VisibleDocument) -> None:
        if serving is self._current:
            self._on_visible(document)

    async def _report(self) -> None:
        reports = self._reports
        assert reports is not None
        while True:
            report = self.report()
            try:
                await self.off_loop(lambda newest=report: reports.write(newest))  # type: ignore[misc] # mypy cannot type a lambda that binds a loop variable
            except OSError as error:
                raise ReportsFolderError(f"{ReportsFolderError()} ({error})") from error
            await asyncio.sleep(REPORT_EVERY_S)


def _reason(serving: Serving) -> str:
    if serving.is_ready:
        return ""
    return "; ".join(f"{part}: {why}" for part, why in serving.waiting.items()) or "it is being warmed up"
