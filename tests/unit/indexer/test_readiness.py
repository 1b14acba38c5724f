"""Readiness says what is wrong in sentences, and the HTTP face gives it and the metrics out."""

from collections.abc import Sequence

import httpx
from prometheus_client import CollectorRegistry

from indexer.batch.batch import BatchReport, Freshness
from indexer.metrics import IndexerMetrics
from indexer.process.app import http_app
from indexer.readiness import ConsumerHealth, Readiness, ReadinessProbe
from retrieval.vectors.memory import MemoryIndex
from schemas.errors import StoreUnavailableError
from schemas.identity import SkuKey
from tests.support.indexing.fakes import FakeClock


class Away(MemoryIndex):
    async def revisions(self, keys: Sequence[SkuKey]) -> dict[SkuKey, int]:
        raise StoreUnavailableError


def joined() -> ConsumerHealth:
    progress = ConsumerHealth()
    progress.assigned(frozenset({("changes", 0)}))
    return progress


async def test_ready_with_an_assignment_and_a_store() -> None:
    answer = await ReadinessProbe(joined(), MemoryIndex(), FakeClock()).check({("changes", 0): 3})
    assert answer == Readiness((), ("changes/0",), {"changes/0": 3}, None)
    assert answer.ready


async def test_a_spare_member_without_partitions_is_ready() -> None:
    progress = ConsumerHealth()
    progress.assigned(frozenset())
    assert (await ReadinessProbe(progress, MemoryIndex(), FakeClock()).check({})).ready


async def test_not_ready_before_an_assignment_or_without_the_store() -> None:
    answer = await ReadinessProbe(ConsumerHealth(), Away(), FakeClock()).check({})
    assert "given no assignment" in answer.reasons[0]
    assert answer.reasons[1].startswith("store_unavailable")


async def test_a_rest_is_told_with_its_reason_and_ends_with_a_good_batch() -> None:
    clock, progress = FakeClock(), joined()
    probe = ReadinessProbe(progress, MemoryIndex(), clock)
    progress.batch_failed(clock.monotonic(), "store_unavailable", "it is away", resting_s=3.0)
    clock.advance(1)
    (reason,) = (await probe.check({})).reasons
    assert reason == "paused after 1 failed attempts in a row, next in 2.0 s: store_unavailable: it is away"
    progress.batch_ended(clock.monotonic())
    assert (await probe.check({})).ready


async def test_a_silent_broker_is_told_unless_a_batch_is_worked_on() -> None:
    progress = joined()
    probe = ReadinessProbe(progress, MemoryIndex(), FakeClock())
    assert (await probe.check({}, seconds_since_fetch=3.0)).ready
    assert (await probe.check({}, seconds_since_fetch=42.0)).reasons == ("Kafka has not answered a fetch for 42 s",)
    progress.batch_began(1_000.0)
    assert (await probe.check({}, seconds_since_fetch=42.0)).ready


async def test_a_stuck_batch_is_told() -> None:
    clock, progress = FakeClock(), joined()
    progress.batch_began(clock.monotonic())
    clock.advance(300)
    assert "300 s" in (await ReadinessProbe(progress, MemoryIndex(), clock).check({})).reasons[0]


async def test_http_gives_health_readiness_and_metrics() -> None:
    metrics = IndexerMetrics(CollectorRegistry())
    report = BatchReport(
        records=3, applied=2, stale=1, embedded=1, freshness=[Freshness(1_000_000, 1_500_000, 1_700_000)]
    )
    report.dead_letters["unparsable"] += 1
    metrics.batch(report)
    progress = ConsumerHealth()
    probe = ReadinessProbe(progress, MemoryIndex(), FakeClock())

    async def refresh() -> None:
        metrics.lag({("changes", 0): 9})

    app = http_app(readiness=lambda: probe.check({}), registry=metrics.registry, refresh=refresh)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://indexer") as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503
        progress.assigned(frozenset())
        assert (await client.get("/readyz")).json()["ready"] is True
        text = (await client.get("/metrics")).text
    for line in (
        'ferroflux_indexer_lag{partition="0",topic="changes"} 9.0',
        "stale_changes_total 1.0",
        'ferroflux_indexer_dead_letters_total{reason="unparsable"} 1.0',
        'ferroflux_freshness_seconds_sum{stage="total"} 0.7',
    ):
        assert line in text
