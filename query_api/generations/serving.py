"""One generation as a worker serves it: its encoder, its collection and its text replica, opened, kept fresh, and let go.

Each part is tried again until it works, so a worker may start before its stores. A query holds the generation for as
long as it lasts: what is let go closes when the last of them has ended, so no query sees a part of another generation.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog

from query_api.freshness import FreshnessWindow, Load
from query_api.status_file import STATUS_FILE, ReplicaStatus, read_status
from retrieval.aliases.live import LiveAliases
from retrieval.encoders.port import TextEncoder
from retrieval.generations.fitting import name_of, require_revision, require_text_fit
from retrieval.rerank.port import Reranker
from retrieval.search.hybrid import Analyse, HybridSearcher
from retrieval.search.settings import SearchSettings
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.self_check import open_collection
from runtime.clock import SYSTEM_CLOCK
from runtime.event_loop import freeze_heap
from runtime.supervision import RunningTask, Supervisor
from schemas.errors import FatalError, FerrofluxError, NotReadyError, RetryableError
from schemas.generations import Generation

log = structlog.get_logger(__name__)

T = TypeVar("T")

_RETRY_S: Final = 0.25
_RETRY_REFUSED_S: Final = 5.0
"""What waits for an operator is not tried four times a second: a refused collection costs the encoding of a few texts each time."""
_STATUS_EVERY_S: Final = 0.25
_LOG_EVERY_FAILURES: Final = 120
_LEARNT_AHEAD: Final = 200
"""Tenants whose words are learnt before anybody asks; each takes some megabytes and up to a tenth of a second."""


class ReplicaUnreadableError(RetryableError):
    """The text replica beside this worker cannot be read, so it answers from the commit that it loaded last. It is tried again; if it stays, look at the replica's folder and its log."""

    code = "replica_unreadable"


@dataclass(frozen=True, slots=True)
class Stores:
    """How to come by a generation's parts; each is called until it succeeds, what blocks off the event loop.

    `open_encoder` is given the revision that the collection records where `follows_record` says that it decides.
    `replica_folder` is where the tailer's report lies; None where there is no tailer. `owned` says whether the worker
    closes the vector index (it does not where a launcher passed its own).
    """

    open_encoder: Callable[[Mapping[str, Any] | None], TextEncoder]
    open_reranker: Callable[[], Reranker | None]
    open_vectors: Callable[[], Awaitable[VectorIndex]]
    open_reader: Callable[[], TextIndexReader]
    analyse: Analyse
    replica_folder: Path | None
    owned: bool
    follows_record: bool = False


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the worker looks: for commits, and how old a heartbeat or a sample may be; seconds."""

    refresh_s: float
    heartbeat_s: float
    freshness_window_s: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The parts of a generation that can answer; together they are one snapshot, taken once by a query."""

    encoder: TextEncoder
    vectors: VectorIndex
    reader: TextIndexReader
    searcher: HybridSearcher


class Serving:
    """The running state of one generation. `on_ready` is called once, when it can answer; `decides` says whether it is the live one."""

    def __init__(
        self,
        manifest: Generation | None,
        stores: Stores,
        search: SearchSettings,
        pace: Pace,
        *,
        aliases: LiveAliases,
        blocking: Executor,
        supervisor: Supervisor,
        on_ready: Callable[[], None],
        decides: Callable[[], bool],
    ) -> None:
        self.name = name_of(manifest)
        self._manifest = manifest
        self._stores = stores
        self._search = search
        self._pace = pace
        self._aliases = aliases
        self._executor = blocking
        self._supervisor = supervisor
        self._on_ready = on_ready
        self._decides = decides
        self._encoder: TextEncoder | None = None
        self._vectors: VectorIndex | None = None
        self._reader: TextIndexReader | None = None
        self._ready: Ready | None = None
        self._warm = False
        self.waiting: dict[str, str] = {
            "encoder": "the encoder is being loaded",
            "vectors": "the vector store has not answered yet",
            "replica": "the text replica has not been opened yet",
        }
        if search.rerank.model:
            self.waiting["reranker"] = "the reranker is being loaded"
        self._tasks: list[RunningTask] = []
        self._status: ReplicaStatus | None = None
        self._status_stamp: tuple[int, int] = (0, 0)
        self._status_read_at = 0.0
        self._queries = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.freshness = FreshnessWindow(pace.freshness_window_s)

    def start(self) -> None:
        """Begin to open the parts; returns at once."""
        self.freshness.begin_at(SYSTEM_CLOCK.now_us())
        start, decides = self._supervisor.start, self._decides
        self._tasks = [
            start("open-generation", self._become_ready, instance=self.name, ends=True, decides=decides),
            # What was loaded still answers while newer commits cannot be: that is degraded, and said.
            start("refresh-replica", self._keep_fresh, instance=self.name, ready_without=True, decides=decides),
        ]

    async def close(self, *, grace_s: float) -> None:
        """Let the queries that run end, up to the grace, then let go of the parts that are ours."""
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            log.warning("a generation is let go under running queries", generation=self.name, queries=self._queries)
        for task in reversed(self._tasks):
            await task.stop()
        if self._ready is not None:
            self._ready.searcher.close()
        if self._vectors is not None and self._stores.owned:
            await self._vectors.close()
        self._ready = self._encoder = self._vectors = self._reader = None

    @contextmanager
    def held(self) -> Iterator[Ready]:
        """The parts, for the length of one query.

        Raises:
            NotReadyError: some part is not ready.
        """
        ready = self.ready
        self._queries += 1
        self._idle.clear()
        try:
            yield ready
        finally:
            self._queries -= 1
            if not self._queries:
                self._idle.set()

    @property
    def ready(self) -> Ready:
        """The parts.

        Raises:
            NotReadyError: some part is not ready.
        """
        if self.waiting or self._ready is None:
            raise NotReadyError(_not_ready(self.waiting))
        return self._ready

    @property
    def is_ready(self) -> bool:
        """Whether it can answer: its parts are there, and the first inference was paid for. Tenants are learnt after that."""
        return self._warm and not self.waiting

    @property
    def reader(self) -> TextIndexReader:
        """The text replica, for reads that need nothing else.

        Raises:
            NotReadyError: the replica is not open or not whole.
        """
        if self._reader is None or "replica" in self.waiting:
            raise NotReadyError(_not_ready(self.waiting))
        return self._reader

    @property
    def vectors(self) -> VectorIndex | None:
        """The vector store, once it answered."""
        return self._vectors if "vectors" not in self.waiting else None

    @property
    def encoder(self) -> TextEncoder | None:
        """The encoder, once it is loaded."""
        return self._encoder

    @property
    def replica_status(self) -> ReplicaStatus | None:
        """The tailer's newest report; None where none was written."""
        return self._status

    @property
    def replica_is_stale(self) -> bool:
        """Whether the tailer's heartbeat is too old."""
        return (
            self._status is not None
            and SYSTEM_CLOCK.now_us() - self._status.written_us > self._pace.heartbeat_s * 1_000_000
        )

    async def _become_ready(self) -> None:
        if self._ready is not None:
            self._ready.searcher.close()  # of an attempt that failed when its parts were open
            self._ready = None
        encoder = await self._until("encoder", self._load_encoder)
        self._encoder = encoder
        reranker = await self._until("reranker", lambda: self._off_loop(self._stores.open_reranker))
        self._vectors = await self._until("vectors", lambda: self._open_vectors(encoder))
        self._reader = await self._until("replica", self._open_replica)
        # Nothing may be awaited between the last part and the searcher: with no part to wait for, the worker is ready.
        searcher = HybridSearcher.over(
            vectors=self._vectors,
            encoder=encoder,
            reader=self._reader,
            analyse=self._stores.analyse,
            settings=self._search,
            aliases=self._aliases,
            reranker=reranker,
        )
        self._ready = Ready(encoder, self._vectors, self._reader, searcher)
        # The first query of a fresh worker should not pay for lazy initialisation.
        await self._off_loop(lambda: encoder.encode_queries(["ferroflux"]))
        freeze_heap()
        log.info(
            "generation ready",
            generation=self.name,
            pid=os.getpid(),
            model=encoder.revision.model,
            revision=encoder.revision.id,
        )
        self._warm = True
        self._on_ready()
        await self._learn_tenants(searcher, self._reader)

    async def _learn_tenants(self, searcher: HybridSearcher, reader: TextIndexReader) -> None:
        """Learn tenants' words ahead of their first query, those with the most products first, half of the time at rest.

        A tenant that asks before its turn, or is not among the largest, is learnt by its first query.
        """
        try:
            products = await self._off_loop(reader.products)
        except FerrofluxError as error:
            log.warning("tenants not learnt ahead", generation=self.name, code=error.code, reason=str(error))
            return
        largest = sorted(products, key=lambda tenant: (-products[tenant], tenant))[:_LEARNT_AHEAD]
        learnt = 0
        for tenant in largest:
            began = time.monotonic()
            try:
                await searcher.warm([tenant])
                learnt += 1
            except Exception:  # one tenant's words that cannot be learnt keep no other's from it
                log.exception("tenant not learnt ahead", generation=self.name, tenant=tenant)
            await asyncio.sleep(time.monotonic() - began)
        freeze_heap()
        log.info("tenants learnt ahead", generation=self.name, tenants=learnt, of=len(products))

    async def _load_encoder(self) -> TextEncoder:
        require_text_fit(self._manifest)
        recorded = await (await self._store()).recorded() if self._stores.follows_record else None
        encoder = await self._off_loop(lambda: self._stores.open_encoder(recorded))
        require_revision(self._manifest, encoder.revision)
        return encoder

    async def _open_vectors(self, encoder: TextEncoder) -> VectorIndex:
        vectors = await self._store()
        await open_collection(vectors, encoder)
        return vectors

    async def _store(self) -> VectorIndex:
        if self._vectors is None:
            self._vectors = await self._stores.open_vectors()
        return self._vectors

    async def _open_replica(self) -> TextIndexReader:
        if self._reader is None:
            self._reader = await self._off_loop(self._stores.open_reader)
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
            pause = _RETRY_S
            try:
                result = await attempt()
            except FerrofluxError as error:
                pause = _RETRY_REFUSED_S if isinstance(error, FatalError) else _RETRY_S
                # What callers read names no host or path; the log line has the whole.
                self.waiting[part] = str(error) if isinstance(error, NotReadyError) else str(type(error)())
                if failures % _LOG_EVERY_FAILURES == 0:
                    # At a start the replica is a moment behind its worker; only what lasts is worth a warning.
                    tell = log.info if failures == 0 and isinstance(error, NotReadyError) else log.warning
                    tell(
                        "not ready",
                        generation=self.name,
                        part=part,
                        code=error.code,
                        reason=str(error),
                        failures=failures,
                    )
            except Exception as error:
                # An unknown failure keeps the worker out of service too, visibly, rather than ending the task unseen.
                self.waiting[part] = f"{part} failed to open ({type(error).__name__}); the log has the details"
                if failures % _LOG_EVERY_FAILURES == 0:
                    log.exception("part failed to open", generation=self.name, part=part, failures=failures)
            else:
                self.waiting.pop(part, None)
                return result
            failures += 1
            await asyncio.sleep(pause)

    async def _keep_fresh(self) -> None:
        """Load newer commits as they come, and read the tailer's report.

        Raises:
            ReplicaUnreadableError: they cannot be read: the replica is being replaced, or its disk fails.
        """
        while True:
            await asyncio.sleep(self._pace.refresh_s)
            try:
                if self._reader is not None:
                    began = SYSTEM_CLOCK.now_us()
                    await self._off_loop(self._reader.refresh)
                    self.freshness.loaded(Load(began, SYSTEM_CLOCK.now_us()))
                await self._read_status()
            except (
                OSError,
                ValueError,
            ) as error:  # Tantivy raises ValueError for a file that is not there, or not whole
                log.info("replica not refreshed", generation=self.name, error=repr(error))
                raise ReplicaUnreadableError from error

    async def _read_status(self) -> None:
        folder = self._stores.replica_folder
        if folder is None or time.monotonic() - self._status_read_at < _STATUS_EVERY_S:
            return
        self._status_read_at = time.monotonic()
        try:
            facts = (folder / STATUS_FILE).stat()
        except FileNotFoundError:
            return
        stamp = (facts.st_mtime_ns, facts.st_ino)
        if stamp == self._status_stamp:
            return
        status = await self._off_loop(lambda: read_status(folder))
        self._status_stamp = stamp
        if status is not None:
            self._status = status
            if status.caught_up:  # before, the tailer reads history: how old that is says nothing of freshness
                self.freshness.reported(status.samples)

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _not_ready(waiting: dict[str, str]) -> str:
    reasons = "; ".join(f"{part}: {reason}" for part, reason in waiting.items()) or "the worker is starting"
    return f"the worker is not ready ({reasons}); try again in a moment"
