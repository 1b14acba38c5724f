"""All searchers of a process: every generation that can answer is open, the live one answers, and the pointer is followed.

The pointer lies in a file beside the text replica. When it moves, one reference is swapped to a generation that is open
already; where it is not, the one before goes on until it is. A query leases a searcher once, at its start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

import structlog

from retrieval.aliases.file import AliasFile, AliasWatch
from retrieval.aliases.live import LiveAliases
from retrieval.aliases.shipped import shipped_aliases
from retrieval.generations.file import GenerationFile
from retrieval.generations.fitting import configured
from retrieval.generations.view import view_of
from retrieval.rerank.port import Reranker
from retrieval.serving.freshness import VisibleDocument
from retrieval.serving.opening import OpenGeneration
from retrieval.serving.parts import GenerationParts, HeldParts, ServingSettings, SharedModels
from retrieval.serving.searcher import Searcher
from runtime.clock import SYSTEM_CLOCK
from runtime.files import Stamp
from runtime.supervision import RunningTask, Supervisor
from schemas.errors import NotReadyError
from schemas.records.generations import Generation, WorkerReport

log = structlog.get_logger(__name__)

T = TypeVar("T")

_LOOK_EVERY_S: Final = 0.1
"""How soon a move of the pointer is followed."""
_ALIASES_EVERY_LOOKS: Final = 3
_CLOSE_GRACE_S: Final = 30.0

HeldOf = Callable[[Generation], HeldParts]
"""The parts of a generation that a launcher holds. Raises NotReadyError where it should hold some, and does not yet."""


class Searchers:
    """Started and stopped by what searches: the search API, the agent.

    The background tasks run under `supervisor`, whose failure is to end the process. `on_visible` is told of each document that
    the answering generation can show from then on.
    """

    def __init__(
        self,
        settings: ServingSettings,
        supervisor: Supervisor,
        *,
        held_of: HeldOf | None = None,
        reranker: Reranker | None = None,
        on_visible: Callable[[VisibleDocument], None] = lambda _: None,
    ) -> None:
        self.settings = settings
        self._supervisor = supervisor
        self._held_of = held_of or (lambda _: HeldParts())
        self._models = SharedModels(settings.search.rerank, reranker)
        self._on_visible = on_visible
        folder = settings.text.directory if settings.tailed else None
        self._file = None if folder is None else GenerationFile(folder)
        self._stamp: Stamp | None = None
        self._configured = configured(vectors=settings.vectors, encoder=settings.encoder)
        self._view = view_of({}, self._configured)
        self._open: dict[str, OpenGeneration] = {}
        self._absent: dict[str, str] = {}
        """Why a launcher does not hold a generation's parts yet, by name."""
        self._current: OpenGeneration | None = None
        self._closing: dict[asyncio.Task[None], str] = {}
        self._watching: RunningTask | None = None
        self._blocking = ThreadPoolExecutor(2, thread_name_prefix="searchers")
        self.aliases = LiveAliases(shipped_aliases())
        self._alias_watch = AliasWatch(None if folder is None else AliasFile(folder), self.aliases)

    async def start(self) -> None:
        """Begin to open the generations; returns at once."""
        self._look()
        self._follow_view()
        # A file that cannot be read ends nobody: what is open goes on, and readiness says what is wrong.
        self._watching = self._supervisor.start("watch-files", self._watch, decides=lambda: False)

    async def stop(self) -> None:
        """Let go of everything that is the searchers' own."""
        if self._watching is not None:
            await self._watching.stop()
        left = {**self._open, **({} if self._current is None else {self._current.name: self._current})}
        await asyncio.gather(*(one.close(grace_s=0.0) for one in left.values()), *self._closing)
        self._blocking.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def lease(self, generation: str = "") -> Iterator[Searcher]:
        """Hold the searcher of the generation that answers, or of another by name, for the length of one query.

        Raises:
            NotReadyError: it is not ready, or there is none of that name.
        """
        opened = self.current if not generation else self._open.get(generation)
        if opened is None:
            raise NotReadyError(f"there is no generation {generation!r} here that could answer")
        with opened.searcher.lease() as searcher:
            yield searcher

    @property
    def current(self) -> OpenGeneration:
        """The generation that answers; before any does, the one that will.

        Raises:
            NotReadyError: the process is only starting.
        """
        if self._current is not None:
            return self._current
        live = self._open.get(self._view.live)
        if live is None:
            raise NotReadyError("the worker is not ready (it is starting); try again in a moment")
        return live

    @property
    def generation(self) -> str:
        """The name of the generation that answers, or will."""
        return self.current.name

    @property
    def live(self) -> str:
        """The generation that the pointer names; it is opened where another still answers."""
        return self._view.live

    @property
    def generations(self) -> dict[str, str]:
        """Every generation that can answer here, and what keeps it from that; empty text: nothing."""
        return self._absent | {name: opened.reason for name, opened in self._open.items()}

    @property
    def waiting_for(self) -> dict[str, str]:
        """What is not ready, by part, as a sentence; empty when queries are answered."""
        return {**self._supervisor.waiting, **self.current.waiting}

    def is_held(self, generation: str) -> bool:
        """Whether a generation is open here, or a query still holds it."""
        return generation in self._open or generation in self._closing.values()

    def report(self, worker: str = "worker") -> WorkerReport:
        """What this process answers from, and what keeps it from the other generations."""
        serving = self._current.name if self._current is not None else ""
        return WorkerReport(worker=worker, serving=serving, ready=self.generations, written_us=SYSTEM_CLOCK.now_us())

    async def off_loop(self, work: Callable[[], T]) -> T:
        """Run a short blocking read of the replica on threads for it."""
        return await asyncio.get_running_loop().run_in_executor(self._blocking, work)

    async def _watch(self) -> None:
        """Follow the file of generations and that of aliases."""
        looks = 0
        while True:
            if await self.off_loop(self._look) or self._absent:
                self._follow_view()
            if looks % _ALIASES_EVERY_LOOKS == 0:
                await self.off_loop(self._alias_watch.look)
            looks += 1
            await asyncio.sleep(_LOOK_EVERY_S)

    def _look(self) -> bool:
        """Read the file of generations if it changed; whether it did. Blocking and cheap where nothing changed."""
        if self._file is None or (stamp := self._file.stamp()) == self._stamp:
            return False
        self._view = view_of(self._file.read(), self._configured)
        self._stamp = stamp
        return True

    def _follow_view(self) -> None:
        """Open what can answer, answer from what is live, let go of what was dropped."""
        wanted = self._view.prepared()
        self._absent = {}
        for name in wanted:
            if name not in self._open:
                try:
                    self._open_generation(name)
                except NotReadyError as error:  # it keeps no other from being opened, and is tried again
                    self._absent[name] = str(error)
        self._answer_from_live()
        for name in [name for name in self._open if name not in wanted]:
            opened = self._open.pop(name)
            if opened is not self._current:
                self._let_go(opened)

    def _open_generation(self, name: str) -> None:
        opened = OpenGeneration(
            name,
            self.parts_of(self._view.manifest(name)),
            self.settings,
            aliases=self.aliases,
            supervisor=self._supervisor,
            on_ready=self._answer_from_live,
            decides=lambda: self._view.live == name,
        )
        opened.freshness.on_visible = lambda document: self._visible(opened, document)
        self._open[name] = opened
        opened.start()

    def parts_of(self, manifest: Generation) -> GenerationParts:
        """The parts of a generation: those that a launcher holds, the others as the settings say."""
        return GenerationParts(manifest, self.settings, self._models, self._blocking, self._held_of(manifest))

    def _answer_from_live(self) -> None:
        """The swap: one assignment between two queries, once the live generation is open."""
        opened = self._open.get(self._view.live)
        before = self._current
        if opened is None or opened is before or not opened.is_ready:
            return
        self._current = opened
        log.info("answers from", generation=opened.name, before="" if before is None else before.name)
        if before is not None and before.name not in self._open:
            self._let_go(before)

    def _let_go(self, opened: OpenGeneration) -> None:
        async def close() -> None:
            try:
                await opened.close(grace_s=_CLOSE_GRACE_S)
            except Exception:
                log.exception("a generation was not let go in order", generation=opened.name)

        task = asyncio.create_task(close(), name=f"let-go-{opened.name}")
        self._closing[task] = opened.name
        task.add_done_callback(self._closing.pop)

    def _visible(self, opened: OpenGeneration, document: VisibleDocument) -> None:
        if opened is self._current:
            self._on_visible(document)
