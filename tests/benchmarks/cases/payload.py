"""(b) Payload-only changes a second: prices and stock through the real consumer, which cost no inference."""

import asyncio
import itertools
import time

import httpx
import orjson

from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.outcome import Goal, Outcome
from tests.benchmarks.systems.backlog import drain
from tests.benchmarks.systems.embedded import Embedded
from tests.benchmarks.workload.changes import Change, Kind, changes

_GOAL_PER_S = 2_000
_PAYLOAD_ONLY = {Kind.PRICE: 0.5, Kind.STOCK: 0.5}
_BODY = 1_000
_IN_FLIGHT = 4


def run(context: Context) -> Outcome:
    """Every product twice, from a full log through the production indexer, and over HTTP through the embedded one."""
    outcome = Outcome("payload", "price and stock changes a second, no inference")
    catalogue = context.prepared.catalogue
    work = list(itertools.chain(changes(catalogue, 5, _PAYLOAD_ONLY), changes(catalogue, 6, _PAYLOAD_ONLY)))
    with context.production() as system:
        found = drain(system, work)
        outcome.say(
            f"production (vectors in {system.vector_store}): {found.per_second:,.0f} changes/s: "
            f"{found.records:,} in {found.seconds:.1f} s, {found.batches} batches"
        )
        outcome.say(f"    seconds by stage: {found.as_json()['stage_seconds']}; processor ms a change: {found.cpu_ms}")
        outcome.figures["production"] = found.as_json()
    outcome.goal(Goal("production", found.per_second, _GOAL_PER_S, "changes/s", most=False))
    with context.embedded() as up:
        rate = asyncio.run(_over_http(up, work))
    outcome.say(f"embedded (journal, Edge, replica and API in one process): {rate:,.0f} changes/s until searchable")
    outcome.figures["embedded_per_second"] = round(rate, 1)
    return outcome


async def _over_http(up: Embedded, work: list[Change]) -> float:
    """Send as a catalogue feed would, a few requests at a time; the last answer waits until all is searchable."""
    now_us = time.time_ns() // 1000
    bodies = iter(
        [
            b"\n".join(
                change.encode(now_us + number) for number, change in enumerate(work[start : start + _BODY], start)
            )
            for start in range(0, len(work), _BODY)
        ]
    )

    async def send(client: httpx.AsyncClient) -> None:
        for body in bodies:
            answer = await client.post("/v1/changes", content=body)
            answer.raise_for_status()

    headers = {"content-type": "application/x-ndjson"}
    started = time.perf_counter()
    async with httpx.AsyncClient(base_url=up.url(), headers=headers, timeout=300) as client:
        await asyncio.gather(*(send(client) for _ in range(_IN_FLIGHT)))
        marker = orjson.dumps(orjson.loads(work[-1].encode(now_us + len(work))))
        (await client.post("/v1/changes", content=marker, params={"wait": "indexed"})).raise_for_status()
    return len(work) / (time.perf_counter() - started)
