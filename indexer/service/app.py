"""The indexer as one object with a life: start, readiness, stop. A process owns one, and so does the embedded launcher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import replace

import structlog

from indexer.identity.guard import OffsetGuard
from indexer.kafka.consumer import ChangeConsumer
from indexer.pipeline import Pipeline
from indexer.records import TopicPartition
from indexer.respelling import Respeller
from indexer.runner import BatchRunner
from indexer.service.metrics import IndexerMetrics
from indexer.service.progress import Progress
from indexer.service.readiness import Readiness, ReadinessProbe
from indexer.verification.verifier import DocumentVerifier
from retrieval.encoders.port import ModelRevision
from runtime.clock import Clock
from runtime.event_loop import freeze_heap
from runtime.kafka.log_writer import LogWriter
from runtime.metrics import TaskMetrics
from runtime.supervision import Supervisor
from schemas.errors import FatalError
from schemas.identity import SkuKey

log = structlog.get_logger(__name__)


class IndexerApp:
    """Owns the consumer, the producer and the encoder's executor; the vector index and the journal belong to the caller.

    `open_index` prepares the collection for the encoder, and checks the one by the other.

    Everything runs on the event loop on which `start` is awaited.
    """

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        respeller: Respeller,
        runner: BatchRunner,
        consumer: ChangeConsumer,
        writer: LogWriter,
        open_index: Callable[[], Awaitable[None]],
        revision: ModelRevision,
        executor: Executor,
        metrics: IndexerMetrics,
        progress: Progress,
        probe: ReadinessProbe,
        clock: Clock,
        verifier: DocumentVerifier | None = None,
        guard: OffsetGuard | None = None,
        products: Callable[[], AsyncIterator[Collection[SkuKey]]] | None = None,
        tasks: TaskMetrics | None = None,
    ) -> None:
        self.pipeline = pipeline
        """For start-up reconciliation (`republish`) and replays (`apply`); safe beside the running consumer."""
        self.respeller = respeller
        """For a start-up that has no verifier, to join what was stored under other spellings of a SKU."""
        self.metrics = metrics
        self.progress = progress
        self._runner = runner
        self._consumer = consumer
        self._writer = writer
        self._open_index = open_index
        self._revision = revision
        self._executor = executor
        self._probe = probe
        self._clock = clock
        self._verifier = verifier
        self._guard = guard
        self._products = products
        self._supervisor = Supervisor(tasks, tells=False)
        self._writing = False

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
        await self._open_index()
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
        log.info("indexer started", model=self._revision.id)

    async def stop(self) -> None:
        """Finish the batch in progress, commit it, leave the group, flush the producer."""
        await self._supervisor.stop()
        self._runner.stop()
        await self._consumer.stop()
        await self._writer.stop()
        self._writing = False
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        log.info("indexer stopped")

    async def readiness(self) -> Readiness:
        """Whether the indexer does its work, and if not, why."""
        silence = self._consumer.seconds_since_fetch(self._clock.now_us())
        answer = await self._probe.check(await self._consumer.lag(), seconds_since_fetch=silence)
        reasons = (*answer.reasons, *self._supervisor.waiting.values())
        return replace(answer, reasons=reasons, degraded={**answer.degraded, **self._supervisor.degraded})

    async def refresh_metrics(self) -> None:
        """Bring the lag gauges up to date."""
        self.metrics.lag(await self._consumer.lag())

    async def lag(self) -> Mapping[TopicPartition, int]:
        """Records of this member's partitions that are not processed yet."""
        return await self._consumer.lag()

    async def failed(self) -> FatalError:
        """Wait for an error that needs the operator; never returns while all is well."""
        return await self._supervisor.failed()

    async def _publish_all(self) -> None:
        """The documents topic was made again: publish what the store holds. Until it is done, the next start does it anew."""
        if self._guard is None or self._products is None:
            return
        log.warning("the documents topic was deleted and created again: every product is published in it")
        published = 0
        async for page in self._products():
            published += (await self.pipeline.republish(list(page))).republished
        self._guard.documents_were_published()
        log.info("every product was published again", products=published)

    async def _run_batches(self) -> None:
        """The batches run in the consumer's own task; what ends them is the end of this one."""
        raise await self._runner.failed()
