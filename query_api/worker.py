"""One search worker: it opens its stores, checks that they fit, keeps the replica fresh, and says what it waits for.

The worker starts answering health checks at once and becomes ready when its parts are: the encoder (and the reranker, where one is configured) is loaded, the
vector collection answers and was written by that encoder, and the text replica is there and whole. Each part is tried
again until it works, so a worker may start before its stores.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog

from query_api.aliases.watch import AliasWatch
from query_api.freshness import FreshnessWindow, Load
from query_api.status_file import STATUS_FILE, ReplicaStatus, read_status
from query_api.status_report import reranker_status
from retrieval.aliases.file import AliasFile
from retrieval.aliases.live import LiveAliases
from retrieval.aliases.shipped import shipped_aliases
from retrieval.complements.finder import ComplementFinder
from retrieval.encoders.port import TextEncoder
from retrieval.rerank.port import Reranker
from retrieval.search.hybrid import Analyse, HybridSearcher
from retrieval.search.settings import SearchSettings
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorIndex
from schemas.api.status import RerankerStatus
from schemas.errors import FerrofluxError, NotReadyError

log = structlog.get_logger(__name__)

T = TypeVar("T")

_RETRY_S: Final = 0.25
_STATUS_EVERY_S: Final = 0.25
_LOG_EVERY_FAILURES: Final = 120


@dataclass(frozen=True, slots=True)
class Stores:
    """How to come by a worker's parts; each is called until it succeeds, what blocks off the event loop.

    `replica_folder` is where the tailer's report lies; None where there is no tailer. `owned` says whether the worker
    closes the vector index (it does not where a launcher passed its own).
    """

    open_encoder: Callable[[], TextEncoder]
    open_reranker: Callable[[], Reranker | None]
    open_vectors: Callable[[], Awaitable[VectorIndex]]
    open_reader: Callable[[], TextIndexReader]
    analyse: Analyse
    replica_folder: Path | None
    owned: bool


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the worker looks: for commits, and how old a heartbeat or a sample may be; seconds."""

    refresh_s: float
    heartbeat_s: float
    freshness_window_s: float


class Worker:
    """The running state behind the HTTP face. Started and stopped by the application's lifespan."""

    def __init__(self, stores: Stores, search: SearchSettings, pace: Pace) -> None:
        self._stores = stores
        self._search = search
        self._pace = pace
        self._encoder: TextEncoder | None = None
        self._vectors: VectorIndex | None = None
        self._reader: TextIndexReader | None = None
        self._searcher: HybridSearcher | None = None
        self._waiting: dict[str, str] = {
            "encoder": "the encoder is being loaded",
            "vectors": "the vector store has not answered yet",
            "replica": "the text replica has not been opened yet",
        }
        if search.rerank.model:
            self._waiting["reranker"] = "the reranker is being loaded"
        self._tasks: list[asyncio.Task[None]] = []
        self._blocking = ThreadPoolExecutor(2, thread_name_prefix="worker")
        self._status: ReplicaStatus | None = None
        self._status_stamp: tuple[int, int] = (0, 0)
        self._status_read_at = 0.0
        self.aliases = LiveAliases(shipped_aliases())
        self.complements = ComplementFinder(self.aliases)
        folder = stores.replica_folder
        self._alias_watch = AliasWatch(AliasFile(folder) if folder is not None else None, self.aliases)
        self.freshness = FreshnessWindow(pace.freshness_window_s)

    async def start(self) -> None:
        """Begin to open the parts; returns at once."""
        self.freshness.begin_at(now_us())
        self._tasks = [
            asyncio.create_task(self._become_ready(), name="become-ready"),
            asyncio.create_task(self._keep_fresh(), name="keep-fresh"),
        ]

    async def stop(self) -> None:
        """End the tasks and let go of the stores that are the worker's own."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._searcher is not None:
            self._searcher.close()
        if self._vectors is not None and self._stores.owned:
            await self._vectors.close()
        self._blocking.shutdown(wait=False, cancel_futures=True)

    @property
    def waiting_for(self) -> dict[str, str]:
        """What is not ready, by part, as a sentence; empty when the worker is ready."""
        return dict(self._waiting)

    @property
    def searcher(self) -> HybridSearcher:
        """The searcher.

        Raises:
            NotReadyError: some part is not ready.
        """
        if self._waiting or self._searcher is None:
            raise NotReadyError(_not_ready(self._waiting))
        return self._searcher

    @property
    def reader(self) -> TextIndexReader:
        """The text replica, for reads that need nothing else.

        Raises:
            NotReadyError: the replica is not open or not whole.
        """
        if self._reader is None or "replica" in self._waiting:
            raise NotReadyError(_not_ready(self._waiting))
        return self._reader

    @property
    def vectors(self) -> VectorIndex | None:
        """The vector store, once it answered."""
        return self._vectors if "vectors" not in self._waiting else None

    @property
    def encoder(self) -> TextEncoder | None:
        """The encoder, once it is loaded."""
        return self._encoder

    @property
    def reranker_status(self) -> RerankerStatus | None:
        """The reranker, once it is loaded; None where none is configured."""
        revision = None if self._searcher is None else self._searcher.reranker
        return None if revision is None else reranker_status(revision, self._search.rerank)

    @property
    def replica_status(self) -> ReplicaStatus | None:
        """The tailer's newest report; None where none was written."""
        return self._status

    @property
    def replica_is_stale(self) -> bool:
        """Whether the tailer's heartbeat is too old."""
        return self._status is not None and now_us() - self._status.written_us > self._pace.heartbeat_s * 1_000_000

    async def off_loop(self, work: Callable[[], T]) -> T:
        """Run a short blocking read of the replica on the worker's own threads."""
        return await asyncio.get_running_loop().run_in_executor(self._blocking, work)

    async def _become_ready(self) -> None:
        encoder = await self._until("encoder", lambda: self.off_loop(self._stores.open_encoder))
        self._encoder = encoder
        reranker = await self._until("reranker", lambda: self.off_loop(self._stores.open_reranker))
        self._vectors = await self._until("vectors", lambda: self._open_vectors(encoder))
        self._reader = await self._until("replica", self._open_replica)
        # Nothing may be awaited between the last part and the searcher: with no part to wait for, the worker is ready.
        self._searcher = HybridSearcher.over(
            vectors=self._vectors,
            encoder=encoder,
            reader=self._reader,
            analyse=self._stores.analyse,
            settings=self._search,
            aliases=self.aliases,
            reranker=reranker,
        )
        # The first query of a fresh worker should not pay for lazy initialisation.
        await self.off_loop(lambda: encoder.encode_queries(["ferroflux"]))
        await self._searcher.warm(await self.off_loop(self._reader.tenants))
        log.info("worker ready", pid=os.getpid(), model=encoder.revision.model, revision=encoder.revision.id)

    async def _open_vectors(self, encoder: TextEncoder) -> VectorIndex:
        if self._vectors is None:
            self._vectors = await self._stores.open_vectors()
        await self._vectors.prepare(encoder.revision)
        return self._vectors

    async def _open_replica(self) -> TextIndexReader:
        if self._reader is None:
            self._reader = await self.off_loop(self._stores.open_reader)
        await self._read_status()
        if self._stores.replica_folder is not None and self._status is None:
            raise NotReadyError(
                "no tailer has reported yet: `ferroflux replica` has to run on this machine (`ferroflux up` runs its own)"
            )
        if self._status is not None and not self._status.caught_up:
            raise NotReadyError(f"the text replica is catching up: {self._status.lag} records to go")
        return self._reader

    async def _until(self, part: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try one part until it works, and say meanwhile why it does not."""
        failures = 0
        while True:
            try:
                result = await attempt()
            except FerrofluxError as error:
                # What callers read names no host or path; the log line has the whole.
                self._waiting[part] = str(error) if isinstance(error, NotReadyError) else str(type(error)())
                if failures % _LOG_EVERY_FAILURES == 0:
                    log.warning("not ready", part=part, code=error.code, reason=str(error), failures=failures)
            except Exception as error:
                # An unknown failure keeps the worker out of service too, visibly, rather than ending the task unseen.
                self._waiting[part] = f"{part} failed to open ({type(error).__name__}); the log has the details"
                if failures % _LOG_EVERY_FAILURES == 0:
                    log.exception("part failed to open", part=part, failures=failures)
            else:
                self._waiting.pop(part, None)
                return result
            failures += 1
            await asyncio.sleep(_RETRY_S)

    async def _keep_fresh(self) -> None:
        """Load newer commits as they come, and read the tailer's report."""
        failing = False
        while True:
            await asyncio.sleep(self._pace.refresh_s)
            try:
                if self._reader is not None:
                    began = now_us()
                    await self.off_loop(self._reader.refresh)
                    self.freshness.loaded(Load(began, now_us()))
                await self._read_status()
            except Exception:
                # The loop outlives any failure: a replica that is being replaced comes back. Logged once per spell.
                if not failing:
                    log.exception("replica refresh failed")
                failing = True
                await asyncio.sleep(_RETRY_S)
            else:
                failing = False

    async def _read_status(self) -> None:
        folder = self._stores.replica_folder
        if folder is None or time.monotonic() - self._status_read_at < _STATUS_EVERY_S:
            return
        self._status_read_at = time.monotonic()
        await self.off_loop(self._alias_watch.look)
        try:
            facts = (folder / STATUS_FILE).stat()
        except FileNotFoundError:
            return
        stamp = (facts.st_mtime_ns, facts.st_ino)
        if stamp == self._status_stamp:
            return
        status = await self.off_loop(lambda: read_status(folder))
        self._status_stamp = stamp
        if status is not None:
            self._status = status
            if status.caught_up:  # before, the tailer reads history: how old that is says nothing of freshness
                self.freshness.reported(status.samples)


def _not_ready(waiting: dict[str, str]) -> str:
    reasons = "; ".join(f"{part}: {reason}" for part, reason in waiting.items()) or "the worker is starting"
    return f"the worker is not ready ({reasons}); try again in a moment"


def now_us() -> int:
    """The present, microseconds since 1970."""
    return time.time_ns() // 1000
