"""The verifier: a reader of the documents topic that publishes a product again where its last document is not the stored one.

What it closes: a writer that was stopped, whose records another writer has taken in and committed meanwhile, produces
an overtaken document and dies before it reads the revision back. Nothing is redelivered, and the compacted topic would
end on the old document. The verifier reads every record of the topic at least once *after* it was appended, whoever
appended it, so no document can be last without having been compared with the store (decision 0020).

It is also who meets what a release before stored under another spelling of a SKU, and has it joined to its product
(decision 0076): whatever an indexer of that release still writes during an upgrade comes by here, too.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, Protocol

import structlog

from indexer.batch.batch import BatchReport, Fault
from indexer.ports import LeaseLostError
from indexer.records import TopicPartition
from indexer.verification.feed import DocumentFeed, FedRecord, LastSeen, PendingLooks
from retrieval.vectors.port import VectorIndex
from runtime.clock import Clock, Sleep
from runtime.retry import Backoff, BackoffPolicy, retry
from schemas.identity import SkuKey

log = structlog.get_logger(__name__)

_AT_ONCE: Final = 500
"""Products compared in one round trip."""
_MOST_PENDING: Final = 50_000
"""Products that may wait for their look; nothing is polled beyond, so memory is bounded."""


class Republisher(Protocol):
    """Publishes products as the store holds them, behind the fence: `Pipeline.republish`."""

    async def __call__(self, keys: Sequence[SkuKey], /) -> BatchReport:
        """Return when they are durable in the log; the report's `apart` names those that cannot be published."""
        ...


class Respell(Protocol):
    """Joins points in other spellings to their products: `Respeller.respell`."""

    async def __call__(self, keys: Collection[SkuKey], /) -> object:
        """Return when they are joined and removed."""
        ...


class VerifierMetrics(Protocol):
    """Where the verifier counts."""

    def verified(self, *, compared: int, repaired: int, unknown: int, apart: Mapping[SkuKey, Fault]) -> None:
        """Products compared, published again, newer than or unknown to the store, and overtaken but set apart."""
        ...


class DocumentVerifier:
    """One member of the group of verifiers; `run` is its whole life."""

    def __init__(
        self,
        open_feed: Callable[[], DocumentFeed],
        index: VectorIndex,
        republish: Republisher,
        *,
        metrics: VerifierMetrics,
        clock: Clock,
        rng: random.Random,
        settle_s: float = 2.0,
        sleep: Sleep = asyncio.sleep,
        backoff: BackoffPolicy | None = None,
        respell: Respell | None = None,
    ) -> None:
        self._open_feed = open_feed
        self._index = index
        self._republish = republish
        self._metrics = metrics
        self._clock = clock
        self._settle_s = settle_s
        self._sleep = sleep
        self._backoff = Backoff(backoff or BackoffPolicy(), rng)
        self._respell = respell
        self.idle = False
        """Whether everything that was read has been compared; for tests and for readiness."""

    async def run(self) -> None:
        """Verify until cancelled; a log or store that is away is waited for."""
        await retry(self._verify, "verifier rests", backoff=self._backoff, sleep=self._sleep)

    async def _verify(self) -> None:
        feed = self._open_feed()
        try:
            await feed.open()
            await self._follow(feed)
        finally:
            self.idle = False
            await feed.close()

    async def _follow(self, feed: DocumentFeed) -> None:
        epoch, pending = -1, PendingLooks(self._settle_s)
        committed: dict[TopicPartition, int] = {}
        while True:
            records = await feed.poll() if len(pending) < _MOST_PENDING else await self._pause()
            if feed.epoch != epoch:
                # Whoever has the partitions now, we again perhaps, begins at what is committed; what we knew is worth nothing.
                epoch, pending, committed = feed.epoch, PendingLooks(self._settle_s), {}
            now = self._clock.monotonic()
            pending.note(records, now)
            due = pending.due(now, _AT_ONCE)
            if due:
                await self._look(due)
                pending.looked(due.keys())
            self.idle = not records and not len(pending)
            if feed.epoch == epoch:
                committed = await self._commit(feed, pending.committable(), committed)
            self._backoff.reset()

    async def _pause(self) -> Sequence[FedRecord]:
        await self._sleep(self._settle_s / 10)
        return ()

    async def _look(self, due: Mapping[SkuKey, LastSeen]) -> None:
        stored = await self._index.revisions(list(due))
        others = [key for key in due if key in stored and not key.is_canonical]
        if others and self._respell is not None:
            await self._respell(others)
            due = {key: seen for key, seen in due.items() if key not in others}
        overtaken = [key for key, seen in due.items() if key in stored and (seen.rev is None or stored[key] > seen.rev)]
        unknown = [key for key, seen in due.items() if not seen.deleted and stored.get(key, 0) < (seen.rev or 0)]
        apart: Mapping[SkuKey, Fault] = {}
        if overtaken:
            apart = (await self._republish(overtaken)).apart
            log.info(
                "overtaken documents were published again",
                products=len(overtaken) - len(apart),
                set_apart=len(apart),
                first=str(overtaken[0]),
            )
        if unknown:
            log.warning(
                "the documents topic is ahead of the vector store: it lost writes, or was restored from an older copy",
                products=len(unknown),
                first=str(unknown[0]),
                remedy="ferroflux reconcile",
            )
        self._metrics.verified(
            compared=len(due), repaired=len(overtaken) - len(apart), unknown=len(unknown), apart=apart
        )

    async def _commit(
        self, feed: DocumentFeed, reached: dict[TopicPartition, int], committed: dict[TopicPartition, int]
    ) -> dict[TopicPartition, int]:
        moved = {place: offset for place, offset in reached.items() if committed.get(place) != offset}
        if moved:
            try:
                await feed.commit(moved)
            except LeaseLostError:
                log.debug("verifier's partitions went to another member")
        return reached
