"""`ferroflux probe` on the real system: it measures, judges by its exit code, and leaves nothing that anybody could see."""

import asyncio
import os
import sys

import httpx
import orjson
import pytest

from schemas.identity import PROBE_TENANT
from tests.support.data import ROOT
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]


async def test_the_probe_measures_judges_and_leaves_nothing(kafka, stack_of):
    stack = stack_of(kafka)
    for role in ("indexer", "replica"):
        stack.start(role)
    stack.wait_ready("indexer", "replica")
    stack.start("api")
    stack.wait_ready("api")

    async def probe(*options: str) -> tuple[int | None, dict]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ferroflux.cli.main", "probe", "--json", "--sku", "probe-test"),
            *("--kafka", kafka.bootstrap, "--topic", stack.topics.changes[0], "--url", stack.url("api"), *options),
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        printed, _ = await process.communicate()
        return process.returncode, orjson.loads(printed)

    def get(path: str, **parameters: str) -> httpx.Response:
        return httpx.get(stack.url("api", path), params=parameters, timeout=10)

    watched: list[str] = []
    probing = asyncio.create_task(probe("--count", "5", "--fail-above", "30s"))
    while not probing.done():
        if get("/v1/items/probe-test", tenant=PROBE_TENANT).status_code == 200:
            watched += get("/v1/tenants").json()["tenants"]
            watched += get("/v1/status").json()["catalogue"]["by_tenant"]
            watched += get("/v1/search", tenant="acme", q="ferroflux probe").json()["hits"]
        await asyncio.sleep(0.05)
    code, found = await probing
    assert (code, found["passed"], found["unseen"]) == (0, True, 0)
    assert found["stages_ms"].keys() == {"log", "index", "commit", "visible", "total"}
    assert found["stages_ms"]["total"]["samples"] == 5
    assert watched == [], "somebody could see the synthetic product"

    code, found = await probe("--count", "1", "--text", "--fail-above", "1ms")
    assert (code, found["passed"]) == (1, False)

    await eventually(lambda: get("/v1/items/probe-test", tenant=PROBE_TENANT).status_code == 404, timeout=20)
    status = get("/v1/status").json()["freshness"]
    assert status["stages"]["index_ms"]["samples"] >= 5
    assert 'ferroflux_freshness_stage_seconds_count{stage="total"}' in get("/metrics").text
