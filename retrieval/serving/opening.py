"""One generation of a process: opened until it opens, kept fresh, and closed when the last lease has ended.

Each part is tried again until it works, so that a process may start before its stores.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import structlog

from retrieval.aliases.live import LiveAliases
from retrieval.encoders.port import TextEncoder
from retrieval.serving.freshness import FreshnessWindow, Load
from retrieval.serving.parts import GenerationParts, ServingSettings
from retrieval.serving.replica_status import STATUS_FILE, ReplicaStatus, read_status
from retrieval.serving.searcher import Searcher
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorIndex
from runtime.clock import SYSTEM_CLOCK
from runtime.event_loop import freeze_heap
from runtime.files import Stamp, stamp_of
from runtime.supervision import RunningTask, Supervisor
from schemas.errors import FatalError, FerrofluxError, NotReadyError, RetryableError

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


class OpenGeneration:
    """`start` it, ask for its `searcher`, `close` it. `on_ready` is called when it can answer; `decides` says whether it is the live one."""

    def __init__(
        self,
        name: str,
        parts: GenerationParts,
        settings: ServingSettings,
        *,
        aliases: LiveAliases,
        supervisor: Supervisor,
        on_ready: Callable[[], None],
        decides: Callable[[], bool],
    ) -> None:
        self.name = name
        self._parts = parts
        self._settings = settings
        self._aliases = aliases
        self._supervisor = supervisor
        self._on_ready = on_ready
        self._decides = decides
        self._searcher: Searcher | None = None
        self._reader: TextIndexReader | None = None
        self._is_warm = False
        self.encoder: TextEncoder | None = None
        """The encoder, once it is loaded."""
        self.vectors: VectorIndex | None = None
        """The vector store, once it answered."""
        self.waiting: dict[str, str] = {
            "encoder": "the encoder is being loaded",
            "vectors": "the vector store has not answered yet",
            "replica": "the text replica has not been opened yet",
        }
        if settings.search.rerank.model:
            self.waiting["reranker"] = "the reranker is being loaded"
        self._tasks: list[RunningTask] = []
        self.replica_status: ReplicaStatus | None = None
        """The tailer's newest report; None where none was written."""
        self._status_stamp: Stamp | None = None
        self._status_read_at = 0.0
        self.freshness = FreshnessWindow(settings.freshness_window_s)

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
        """Let the queries that run end, up to the grace, then let go of the parts."""
        if self._searcher is not None:
            await self._searcher.idle(grace_s)
        for task in reversed(self._tasks):
            await task.stop()
        if self._searcher is not None:
            self._searcher.close()
        await self._parts.close()
        self._searcher = self._reader = self.encoder = self.vectors = None

    @property
    def searcher(self) -> Searcher:
        """What answers.

        Raises:
            NotReadyError: some part is not ready.
        """
        if self.waiting or self._searcher is None:
            raise NotReadyError(self._not_ready())
        return self._searcher

    @property
    def is_ready(self) -> bool:
        """Whether it can answer: its parts are there, and the first inference was paid for. Tenants are learnt after that."""
        return self._is_warm and not self.waiting

    @property
    def reason(self) -> str:
        """What keeps it from answering; empty where nothing does."""
        if self.is_ready:
            return ""
        return "; ".join(f"{part}: {why}" for part, why in self.waiting.items()) or "it is being warmed up"

    @property
    def reader(self) -> TextIndexReader:
        """The text replica, for reads that need nothing else.

        Raises:
            NotReadyError: the replica is not open or not whole.
        """
        if self._reader is None or "replica" in self.waiting:
            raise NotReadyError(self._not_ready())
        return self._reader

    @property
    def replica_is_stale(self) -> bool:
        """Whether the tailer's heartbeat is too old."""
        status = self.replica_status
        return status is not None and SYSTEM_CLOCK.now_us() - status.written_us > self._settings.heartbeat_s * 1_000_000

    def _not_ready(self) -> str:
        reasons = "; ".join(f"{part}: {reason}" for part, reason in self.waiting.items()) or "the worker is starting"
        return f"the worker is not ready ({reasons}); try again in a moment"

    async def _become_ready(self) -> None:
        if self._searcher is not None:
            self._searcher.close()  # of an attempt that failed when its parts were open
            self._searcher = None
        parts = self._parts
        encoder = self.encoder = await self._until("encoder", parts.encoder)
        reranker = await self._until("reranker", parts.reranker)
        vectors = self.vectors = await self._until("vectors", lambda: parts.vectors(encoder))
        reader = await self._until("replica", self._whole_replica)
        # Nothing may be awaited between the last part and the searcher: with no part to wait for, the worker is ready.
        searcher = self._searcher = Searcher(
            vectors=vectors,
            encoder=encoder,
            reader=reader,
            settings=self._settings.search,
            aliases=self._aliases,
            reranker=reranker,
            name=self.name,
        )
        # The first query of a fresh worker should not pay for lazy initialisation.
        await parts.off_loop(lambda: encoder.encode_queries(["ferroflux"]))
        freeze_heap()
        log.info(
            "generation ready",
            generation=self.name,
            pid=os.getpid(),
            model=encoder.revision.model,
            revision=encoder.revision.id,
        )
        self._is_warm = True
        self._on_ready()
        await self._learn_tenants(searcher)

    async def _learn_tenants(self, searcher: Searcher) -> None:
        """Learn tenants' words ahead of their first query, those with the most products first, half of the time at rest.

        A tenant that asks before its turn, or is not among the largest, is learnt by its first query.
        """
        try:
            products = await self._parts.off_loop(searcher.reader.products)
        except FerrofluxError as error:
            log.warning("tenants not learnt ahead", generation=self.name, code=error.code, reason=str(error))
            return
        largest = sorted(products, key=lambda tenant: (-products[tenant], tenant))[:_LEARNT_AHEAD]
        learnt = 0
        for tenant in largest:
            began = SYSTEM_CLOCK.monotonic()
            try:
                await searcher.hybrid.warm([tenant])
                learnt += 1
            except Exception:  # one tenant's words that cannot be learnt keep no other's from it
                log.exception("tenant not learnt ahead", generation=self.name, tenant=tenant)
            await asyncio.sleep(SYSTEM_CLOCK.monotonic() - began)
        freeze_heap()
        log.info("tenants learnt ahead", generation=self.name, tenants=learnt, of=len(products))

    async def _whole_replica(self) -> TextIndexReader:
        reader = self._reader = await self._parts.reader()
        await self._read_status()
        status = self.replica_status
        if self._parts.report_folder is not None and status is None:
            raise NotReadyError(
                "no tailer has reported yet: `ferroflux replica` has to run on this machine (`ferroflux up` runs its own)"
            )
        if status is not None and not status.caught_up:
            raise NotReadyError(f"the text replica is catching up: {status.lag} records to go")
        return reader

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
            await asyncio.sleep(self._settings.refresh_s)
            try:
                if self._reader is not None:
                    began = SYSTEM_CLOCK.now_us()
                    await self._parts.off_loop(self._reader.refresh)
                    self.freshness.loaded(Load(began, SYSTEM_CLOCK.now_us()))
                await self._read_status()
            except (OSError, ValueError) as error:
                # Tantivy raises ValueError for a file that is not there, or not whole.
                log.info("replica not refreshed", generation=self.name, error=repr(error))
                raise ReplicaUnreadableError from error

    async def _read_status(self) -> None:
        folder = self._parts.report_folder
        if folder is None or SYSTEM_CLOCK.monotonic() - self._status_read_at < _STATUS_EVERY_S:
            return
        self._status_read_at = SYSTEM_CLOCK.monotonic()
        stamp = stamp_of(folder / STATUS_FILE)
        if stamp is None or stamp == self._status_stamp:
            return
        status = await self._parts.off_loop(lambda: read_status(folder))
        self._status_stamp = stamp
        if status is not None:
            self.replica_status = status
            if status.caught_up:  # before, the tailer reads history: how old that is says nothing of freshness
                self.freshness.reported(status.samples)
