"""Names of tenants that somebody makes up are answered as ever, with nothing, and leave nothing behind."""

import gc
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from runtime.bounded_cache import caches
from tests.support.agent.serving import Serving, calling
from tests.unit.query_api.app_under_test import Stores, serving

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
MADE_UP = 3_000
ROUTES = 7
TRACED = 600
LEAST_KEPT = 100
"""Bytes of the smallest thing that keeps a name: the name, and its place in a dictionary."""
OURS = [
    *(
        tracemalloc.Filter(True, f"{ROOT}/{package}/*")
        for package in ("agent", "query_api", "retrieval", "runtime", "schemas")
    ),
    tracemalloc.Filter(False, f"{ROOT}/retrieval/serving/opening.py"),
    tracemalloc.Filter(False, f"{ROOT}/retrieval/serving/freshness.py"),
]
"""The test's client remembers addresses, and the worker when it looked for commits, for a window of time."""
PATIENT = {"deadline_s": 60, "hydration_deadline_s": 60}
"""A busy machine must not answer 503 in place of nothing."""


async def _ask(client: httpx.AsyncClient, number: int) -> httpx.Response:
    """One of the routes that name a tenant, in turns."""
    tenant = f"made-up-{number}"
    match number % ROUTES:
        case 0:
            body = {"tenant": tenant, "text": "tornillo hexagonl m8", "facets": number % 2 == 0}
            return await client.post("/v1/search", json=body)
        case 1:
            return await client.get("/v1/suggest", params={"tenant": tenant, "q": "torn"})
        case 2:
            return await client.get("/v1/items/TOR-M8", params={"tenant": tenant})
        case 3:
            return await client.get("/v1/items/TOR-M8/similar", params={"tenant": tenant})
        case 4:
            return await client.post("/v1/analyze", json={"tenant": tenant, "text": "tornillo hexagonl m8"})
        case 5:
            return await client.get("/v1/items/TOR-M8/complements", params={"tenant": tenant})
        case _:
            return await client.get("/v1/status", params={"tenant": tenant})


def _what_is_kept() -> dict[str, int]:
    """Entries of every cache whose keys could name a tenant: all, since none must hold one that is made up."""
    return {cache.name: sum("made-up" in repr(key) for key in cache.held()) for cache in caches()}


async def _growth(ask: Callable[[range], Awaitable[object]], names: range) -> float:
    """Bytes that a name leaves behind in our code, the first quarter apart, which pays for what is made once."""
    begins = names.start + len(names) // 4
    tracemalloc.start()
    with capture_logs() as lines:  # whoever keeps the lines of a log keeps the names in them
        try:
            await ask(range(names.start, begins))
            lines.clear()
            before = _traced()
            await ask(range(begins, names.stop))
            lines.clear()
            return (_traced() - before) / (names.stop - begins)
        finally:
            tracemalloc.stop()


def _traced() -> int:
    gc.collect()
    return sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(OURS).traces)


async def _asked(client: httpx.AsyncClient, names: range) -> dict[int, set[int]]:
    """The statuses by route."""
    statuses: dict[int, set[int]] = {}
    for number in names:
        statuses.setdefault(number % ROUTES, set()).add((await _ask(client, number)).status_code)
    return statuses


async def test_a_name_that_is_made_up_is_answered_with_nothing_and_kept_nowhere():
    stores = Stores()
    await stores.embed()
    async with serving(stores.app(search=PATIENT)) as client:
        answers = [await _ask(client, number) for number in range(2 * ROUTES)]
        assert [one.status_code for one in answers[:ROUTES]] == [200, 200, 404, 404, 200, 404, 200]
        assert answers[0].json()["hits"] == []
        assert set(_what_is_kept().values()) <= {0}
        assert "made-up" not in (await client.get("/metrics")).text


@pytest.mark.slow
@pytest.mark.timeout(600)  # 3,000 requests; the memory of a fifth of them is traced, which takes three times as long
async def test_three_thousand_names_leave_nothing_behind():
    stores = Stores()
    await stores.embed()
    async with serving(stores.app(search=PATIENT)) as client:
        await _asked(client, range(MADE_UP - TRACED))
        grown = await _growth(lambda names: _asked(client, names), range(MADE_UP - TRACED, MADE_UP))
        assert set(_what_is_kept().values()) <= {0}
        assert grown < LEAST_KEPT


async def test_the_metrics_tell_what_the_caches_hold_and_name_no_method_that_is_made_up():
    stores = Stores()
    await stores.embed()
    async with serving(stores.app(search=PATIENT)) as client:
        for _ in range(2):
            await client.post("/v1/search", json={"tenant": "norte", "text": "tornillo"})
        await client.request("MADEUP", "/v1/search")
        text = (await client.get("/metrics")).text
    for line in (
        'ferroflux_cache_bytes{cache="query_vectors"}',
        'ferroflux_cache_lookups_total{cache="query_vectors",outcome="hits"}',
    ):
        assert line in text
    assert "MADEUP" not in text
    assert 'method="other"' in text


@pytest.fixture
async def chat(tmp_path) -> AsyncIterator[httpx.AsyncClient]:
    async with calling(Serving(tmp_path).app()) as caller:
        yield caller


async def test_asking_for_conversations_of_made_up_tenants_leaves_nothing_behind(chat):
    assert (await chat.get("/v1/chat/t-0", params={"tenant": "made-up-0"})).status_code == 404

    async def ask(names: range) -> None:
        for number in names:
            answer = await chat.get(f"/v1/chat/t-{number}", params={"tenant": f"made-up-{number}"})
            assert answer.status_code == 404

    assert await _growth(ask, range(200)) < LEAST_KEPT
    assert "made-up" not in (await chat.get("/metrics")).text
