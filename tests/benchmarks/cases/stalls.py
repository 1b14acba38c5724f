"""Stalls of the embedded system: how long a query can be kept waiting while a catalogue pours in beside it.

Everything is in one process, and Qdrant Edge holds the interpreter's lock in every call; its long operation (optimize)
runs at start and stop only. What is measured: the longest times of queries, and of health checks, which need nothing but
the event loop: what those wait, the whole process stood still.
"""

import itertools
import threading
import time

import httpx

from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.distribution import Distribution
from tests.benchmarks.report.outcome import Goal, Outcome
from tests.benchmarks.systems.embedded import TOPIC, Embedded
from tests.benchmarks.workload.changes import Kind, changes
from tests.benchmarks.workload.generator import Load
from tests.benchmarks.workload.launch import send_load

_GOAL_MS = 100
_QUERIES_PER_S = 10
_HEALTH_PER_S = 100
_BODY = 200
_PHASES = {
    "at rest": None,
    "while prices pour in": {Kind.PRICE: 0.5, Kind.STOCK: 0.5},
    "while texts pour in": {Kind.TEXT: 0.5, Kind.INSERT: 0.5},
}


def run(context: Context) -> Outcome:
    """At rest, under a flood of payload changes, and under a flood of new texts."""
    outcome = Outcome("stalls", "longest time that a query waits for the embedded system, ms")
    with context.embedded() as up:
        _observe(context, up, seconds=4.0, seed=30)
        for number, (phase, mix) in enumerate(_PHASES.items()):
            stopping = threading.Event()
            flood = threading.Thread(target=_flood, args=(context, up, mix, 40 + number, stopping)) if mix else None
            if flood:
                flood.start()
            observed = _observe(context, up, seconds=context.seconds(30.0), seed=31 + number)
            stopping.set()
            if flood:
                flood.join()
            queries, health = Distribution.of(observed["queries"]), Distribution.of(observed["health"])
            outcome.say(f"{phase}: queries {queries}")
            outcome.say(f"    health checks {health}")
            outcome.figures[phase] = {
                "query_ms": queries.as_json(),
                "health_ms": health.as_json(),
                "queries_over_goal": sum(each > _GOAL_MS for each in observed["queries"]),
                "generator_longest_pause_ms": round(observed["longest_pause_ms"], 1),
                "counts": observed["counts"],
            }
            outcome.goal(Goal(f"longest stall of the process {phase}", health.largest, _GOAL_MS, "ms"))
            outcome.goal(Goal(f"longest query {phase}", queries.largest, _GOAL_MS, "ms"))
    return outcome


def _observe(context: Context, up: Embedded, *, seconds: float, seed: int) -> dict:  # type: ignore[type-arg]
    return send_load(
        Load(
            bootstrap=up.bootstrap,
            topic=TOPIC,
            host="127.0.0.1",
            port=up.port,
            quick=context.quick,
            seed=seed,
            seconds=seconds,
            changes_per_s=0,
            queries_per_s=_QUERIES_PER_S,
            followed_per_s=0,
            health_per_s=_HEALTH_PER_S,
        )
    )


def _flood(context: Context, up: Embedded, mix: dict[Kind, float], seed: int, stopping: threading.Event) -> None:
    """As fast as the intake takes them, one request at a time after the other, as `ferroflux ingest` does."""
    headers = {"content-type": "application/x-ndjson"}
    with httpx.Client(base_url=up.url(), headers=headers, timeout=120) as client:
        for lap in itertools.count():
            due = changes(context.prepared.catalogue, seed + 100 * lap, mix)
            while batch := list(itertools.islice(due, _BODY)):
                if stopping.is_set():
                    return
                now_us = time.time_ns() // 1000
                body = b"\n".join(change.encode(now_us + number) for number, change in enumerate(batch))
                client.post("/v1/changes", content=body).raise_for_status()
