"""All the generations that one indexer process follows: an indexer for each that is prepared, started and ended as they come and go.

The process follows the control log, so nobody has to restart or to start anything: a generation that has been built is
taken on, one that is being dropped is let go. The live generation decides the process's fate. Another one that cannot
work is told in the log, in `/readyz` and in the metrics, and is tried again; it keeps nobody from indexing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from indexer.generations.leadership import Leadership
from indexer.kafka.topics import TopicAdmin
from indexer.process.app import IndexerApp
from indexer.readiness import Readiness
from retrieval.generations import transitions
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.generations.supervisor import GenerationSupervisor
from retrieval.generations.view import GenerationView, Records, view_of
from retrieval.vectors.port import VectorIndex
from runtime.clock import SYSTEM_CLOCK
from runtime.retry import Backoff, BackoffPolicy, retry
from runtime.supervision import Supervisor
from schemas.errors import FerrofluxError
from schemas.records.generations import Generation
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

_BACKOFF: Final = BackoffPolicy(base_s=0.5, cap_s=10.0)


@dataclass(frozen=True, slots=True)
class Member:
    """The indexer of one generation and what it was made of. `kafka` names the generation's own documents topic."""

    manifest: Generation
    app: IndexerApp
    index: VectorIndex
    kafka: KafkaSettings


OpenMember = Callable[[Generation, Leadership], Awaitable[Member]]
"""Puts the indexer of a generation together; raises FatalError where that cannot be, with the remedy."""


class GenerationIndexers(Collector):
    """The indexers of one process. As a collector of metrics it gives those of the live one, and a line for each generation."""

    def __init__(
        self, store: KafkaGenerationStore, configured: Generation, open_member: OpenMember, supervisor: Supervisor
    ) -> None:
        self._store = store
        self._configured = configured
        self._open_member = open_member
        self._members: dict[str, Member] = {}
        self._leaderships: dict[str, Leadership] = {}
        self._supervisor = supervisor
        self._lag: dict[str, int] = {}
        self._generations = GenerationSupervisor(
            supervisor, "index-generation", self._index, wanted=GenerationView.prepared, backoff=_BACKOFF
        )

    def start(self) -> None:
        """Follow the generations. The supervisor ends all of it, each indexer after its batch; the live one's failure is its own."""
        self._supervisor.start("follow-generations", lambda: self._store.follow(self._hear))

    async def readiness(self) -> Readiness:
        """Whether the live generation is indexed, and what stands against the others."""
        view, trouble = self._generations.view, self._generations.trouble
        if view is None:
            reasons = tuple(self._supervisor.waiting.values())
            return Readiness(reasons or ("Kafka has not told yet which generations there are",))
        troubles = {name: trouble(name) for name in view.prepared()}
        member = self._members.get(view.live)
        if member is None:
            answer = Readiness((trouble(view.live) or f"generation {view.live} is being opened",))
        else:
            answer = await member.app.readiness()
            answer = replace(answer, reasons=(*answer.reasons, *self._supervisor.waiting.values()))
        degraded = {**answer.degraded, **self._supervisor.degraded}
        return replace(answer, live=view.live, generations=troubles, degraded=degraded)

    async def refresh_metrics(self) -> None:
        """Bring the gauges up to date."""
        for name, member in list(self._members.items()):
            await member.app.refresh_metrics()
            self._lag[name] = sum((await member.app.lag()).values())

    def collect(self) -> Iterable[Metric]:
        """The live indexer's metrics under their own names, and what is told of every generation."""
        lag = GaugeMetricFamily(
            "ferroflux_indexer_generation_lag",
            "Records not processed yet, over this process's partitions, by generation.",
            labels=["generation"],
        )
        up = GaugeMetricFamily(
            "ferroflux_indexer_generation_up", "Whether this process follows the generation.", labels=["generation"]
        )
        view = self._generations.view
        for name in () if view is None else view.prepared():
            up.add_metric([name], float(name in self._members and not self._generations.trouble(name)))
            lag.add_metric([name], float(self._lag.get(name, 0)))
        yield from (lag, up)
        live = None if view is None else self._members.get(view.live)
        if live is not None:
            yield from live.app.metrics.registry.collect()

    async def _hear(self, records: Records) -> None:
        view = view_of(records, self._configured)
        for leadership in self._leaderships.values():
            leadership.view = view
        await self._generations.follow(view)

    async def _index(self, manifest: Generation) -> None:
        """Index one generation until cancelled, or until it cannot be indexed any more: raises what ended it."""
        name = manifest.name
        leadership = self._leaderships[name] = Leadership(name, self._generations.view)
        try:
            member = await self._open_member(manifest, leadership)
            self._members[name] = member
            try:
                await _start(member)
                await self._record(member.manifest)
                raise await member.app.failed()
            finally:
                self._members.pop(name, None)
                await _whole(_close(member))
                log.info("generation is let go", generation=name)
        finally:
            self._leaderships.pop(name, None)
            self._lag.pop(name, None)

    async def _record(self, manifest: Generation) -> None:
        """Tell operators what the generation is built with. Nothing depends on it: where that fails, the next start tries again."""
        view = self._generations.view
        if view is not None and view.manifests.get(manifest.name) == manifest:
            return
        try:
            await self._store.commit(transitions.record(manifest))
        except FerrofluxError as error:
            log.info("the manifest was not recorded", generation=manifest.name, reason=str(error))


async def _start(member: Member) -> None:
    """Start, trying again while dependencies are away."""
    app = member.app

    async def start() -> None:
        async with TopicAdmin(member.kafka) as admin:
            await admin.ensure()
            app.topics_take(await admin.limits())
        await app.start()

    def failed(error: FerrofluxError, rest_s: float) -> None:
        app.health.batch_failed(SYSTEM_CLOCK.monotonic(), error.code, str(error), resting_s=rest_s)

    await retry(start, "indexer cannot start yet", backoff=Backoff(_BACKOFF), failed=failed)
    app.health.failure = None
    app.health.failures = 0


async def _close(member: Member) -> None:
    await member.app.stop()
    await member.index.close()


async def _whole(ending: Awaitable[None]) -> None:
    """Await an end that a cancellation must not cut short: the batch in progress is finished and committed."""
    task = asyncio.ensure_future(ending)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()


def process_registry(generations: GenerationIndexers, base: CollectorRegistry) -> Collector:
    """What /metrics renders: the process's own metrics and those of the generations."""
    return _Together(base, generations)


class _Together(Collector):
    def __init__(self, base: CollectorRegistry, generations: GenerationIndexers) -> None:
        self._base = base
        self._generations = generations

    def collect(self) -> Iterable[Metric]:
        yield from self._base.collect()
        yield from self._generations.collect()
