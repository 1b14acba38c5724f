"""The indexer as one object with a life: start, readiness, stop. A process owns one, and so does the embedded launcher.

Its HTTP face has `/healthz` (alive), `/readyz` (does its work, with reasons) and `/metrics`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Final

import structlog
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from indexer.batch.pipeline import Pipeline
from indexer.consuming.runner import BatchRunner, Observers
from indexer.identity import OffsetGuard
from indexer.kafka.consumer import ChangeConsumer
from indexer.readiness import Readiness, ReadinessProbe
from indexer.records import TopicPartition
from indexer.respelling import Respeller
from indexer.verification.verifier import DocumentVerifier
from retrieval.encoders.port import TextEncoder
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.self_check import open_collection
from retrieval.vectors.spaces import spaces_of
from runtime.clock import Clock
from runtime.event_loop import freeze_heap
from runtime.kafka.log_writer import LogWriter
from runtime.observability.metrics import TaskMetrics
from runtime.rights.gate import require_declared_roles
from runtime.supervision import Supervisor
from schemas.errors import FatalError, StoreUnavailableError

_COUNT_EVERY_S: Final = 60.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Workers:
    """What takes changes in, and what looks after what was taken in."""

    pipeline: Pipeline
    runner: BatchRunner
    respeller: Respeller
    verifier: DocumentVerifier | None = None


@dataclass(frozen=True, slots=True)
class KafkaEnds:
    """Where records come from and go to; the guard watches the consumer group's offsets."""

    consumer: ChangeConsumer
    writer: LogWriter
    guard: OffsetGuard | None = None


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """The vector index, and the encoder with the executor that it runs in."""

    index: VectorIndex
    encoder: TextEncoder
    executor: Executor
    self_check: bool = True

    async def prepare(self) -> None:
        """Prepare the collection for the encoder, and check the one by the other."""
        if self.self_check:
            await open_collection(self.index, self.encoder)
        else:
            await self.index.prepare(spaces_of(self.encoder.revision))
        await self.index.apply_settings()


class IndexerApp:
    """Owns the consumer, the producer and the encoder's executor; the vector index and the journal belong to the caller.

    Everything runs on the event loop on which `start` is awaited.
    """

    def __init__(
        self,
        workers: Workers,
        kafka: KafkaEnds,
        store: OpenedStore,
        observers: Observers,
        *,
        clock: Clock,
        tasks: TaskMetrics | None = None,
    ) -> None:
        self.pipeline = workers.pipeline
        """For start-up reconciliation (`republish`) and replays (`apply`); safe beside the running consumer."""
        self.respeller = workers.respeller
        """For a start-up that has no verifier, to join what was stored under other spellings of a SKU."""
        self.metrics = observers.metrics
        self.health = observers.health
        self._runner = workers.runner
        self._verifier = workers.verifier
        self._consumer = kafka.consumer
        self._writer = kafka.writer
        self._guard = kafka.guard
        self._store = store
        self._probe = ReadinessProbe(observers.health, store.index, clock)
        self._clock = clock
        self._supervisor = Supervisor(tasks, tells=False)
        self._writing = False
        self._count_again_at = 0.0

    def topics_take(self, limits: Mapping[str, int]) -> None:
        """Note the largest record of each topic that is written to; nothing larger is sent there."""
        self._writer.carries(limits)

    async def prepare(self) -> None:
        """Make ready to publish without consuming yet: the collection and the producer. `start` does it where it was not done.

        Raises:
            ModelMismatchError: the collection was written by another encoder.
            StoreUnavailableError, LogUnavailableError: a dependency did not answer.
        """
        if self._writing:
            return
        await self._store.prepare()
        await self._writer.start()
        self._writing = True

    async def start(self) -> None:
        """Prepare, then join the consumer group and begin.

        Raises:
            ModelMismatchError: the collection was written by another encoder.
            StoreReplacedError: the collection is not the one that the group's offsets speak of.
            StoreUnavailableError, LogUnavailableError: a dependency did not answer; starting again is safe.
        """
        await self.prepare()
        if self._guard is not None:
            await self._guard.settle()
        freeze_heap(collect=True)
        await self._consumer.start()
        self._supervisor.start("change-consumer", self._consumer.watch)
        self._supervisor.start("batch-runner", self._run_batches)
        if self._guard is not None:
            self._supervisor.start("identities", self._guard.watch, ready_without=True)
            if self._guard.documents_are_due:
                self._supervisor.start("publish-all", self._publish_all, ends=True, ready_without=True)
        if self._verifier is not None:
            self._supervisor.start("document-verifier", self._verifier.run, ready_without=True)
        log.info("indexer started", model=self._store.encoder.revision.id)

    async def stop(self) -> None:
        """Finish the batch in progress, commit it, leave the group, flush the producer."""
        await self._supervisor.stop()
        self._runner.stop()
        await self._consumer.stop()
        await self._writer.stop()
        self._writing = False
        self._count_again_at = 0.0
        await asyncio.to_thread(self._store.executor.shutdown, cancel_futures=True)
        log.info("indexer stopped")

    async def readiness(self) -> Readiness:
        """Whether the indexer does its work, and if not, why."""
        silence = self._consumer.seconds_since_fetch(self._clock.now_us())
        answer = await self._probe.check(await self._consumer.lag(), seconds_since_fetch=silence)
        reasons = (*answer.reasons, *self._supervisor.waiting.values())
        return replace(answer, reasons=reasons, degraded={**answer.degraded, **self._supervisor.degraded})

    async def refresh_metrics(self) -> None:
        """Bring the gauges up to date; coverage, which the store counts point by point, once a minute."""
        self.metrics.lag(await self._consumer.lag())
        if self._writing and self._clock.monotonic() >= self._count_again_at:
            self._count_again_at = self._clock.monotonic() + _COUNT_EVERY_S
            with suppress(StoreUnavailableError):
                self.metrics.coverage((await self._store.index.counts()).coverage)

    async def lag(self) -> Mapping[TopicPartition, int]:
        """Records of this member's partitions that are not processed yet."""
        return await self._consumer.lag()

    async def failed(self) -> FatalError:
        """Wait for an error that needs the operator; never returns while all is well."""
        return await self._supervisor.failed()

    async def _publish_all(self) -> None:
        """The documents topic was made again: publish what the store holds. Until it is done, the next start does it anew."""
        assert self._guard is not None
        log.warning("the documents topic was deleted and created again: every product is published in it")
        published = 0
        async for page in self._store.index.scan():
            published += (await self.pipeline.republish(list(page))).republished
        self._guard.documents_were_published()
        log.info("every product was published again", products=published)

    async def _run_batches(self) -> None:
        """The batches run in the consumer's own task; what ends them is the end of this one."""
        raise await self._runner.failed()


def http_app(
    *,
    readiness: Callable[[], Awaitable[Readiness]],
    registry: Collector,
    refresh: Callable[[], Awaitable[None]],
) -> Starlette:
    """The ASGI application. `refresh` brings gauges up to date before they are read."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        answer = await readiness()
        return JSONResponse(
            {"ready": answer.ready, **asdict(answer)},
            status_code=200 if answer.ready else 503,
        )

    async def metrics(_: Request) -> Response:
        await refresh()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    app = Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
    require_declared_roles(app)
    return app
