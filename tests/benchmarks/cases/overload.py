"""Overload: more changes than the indexer can take, loads beside live changes, and what queries notice of it.

Three spells in the production topology. First a flood of text changes into the live topic, faster than they are encoded:
lag must grow and then fall to nothing, and no process's memory may grow with it. Then a whole catalogue by the bulk lane,
with live changes beside it: those must stay fresh although the load takes all the time there is. Then the same catalogue
as a connector's snapshot (`op: r`), in the live topic itself: its reads are moved out of the live changes' way.
"""

import asyncio
import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import Self

import httpx

from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.distribution import Distribution
from tests.benchmarks.report.outcome import Goal, Outcome
from tests.benchmarks.report.processes import memory_of
from tests.benchmarks.systems import production
from tests.benchmarks.systems.production import Production
from tests.benchmarks.workload.changes import Kind, changes
from tests.benchmarks.workload.generator import Load
from tests.benchmarks.workload.launch import send_load
from tests.support.kafka.clients import Record, append, committed, end_offsets

_BULK_TOPIC = "warehouse.changes.bulk"
_QUERIES_PER_S = 20
_LIVE_PER_S = 20
_FLOOD_PER_S = 300
_TEXTS = {Kind.TEXT: 1.0}
_FRESH_GOAL_MS = 1_000
_QUERY_GOAL_MS = 200
_GROWTH_GOAL_MB = 150


@dataclass(slots=True)
class Watch:
    """Lag by topic and memory by process, looked at twice a second while something else runs."""

    system: Production
    lag: dict[str, list[int]] = field(default_factory=dict)
    memory: dict[str, list[float]] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        assert self._thread is not None
        self._thread.join()

    def now(self) -> dict[str, int]:
        """Records not processed yet, by topic, as the indexer's readiness says."""
        shown = httpx.get(self.system.url("indexer", "/readyz"), timeout=10).json()["lag"]
        totals: dict[str, int] = {}
        for place, records in shown.items():
            topic = place.rpartition("/")[0]
            totals[topic] = totals.get(topic, 0) + records
        return totals

    def growth_mb(self, process: str) -> float:
        """From the first third's peak to the peak of all: what a queue that grows with the load would show."""
        seen = self.memory[process]
        return max(seen) - max(seen[: max(1, len(seen) // 3)])

    def _look(self) -> None:
        while not self._stopping.wait(0.5):
            for topic, records in self.now().items():
                self.lag.setdefault(topic, []).append(records)
            for process in ("indexer", "replica", "api"):
                self.memory.setdefault(process, []).append(memory_of(self.system.processes[process].pid).rss)


def run(context: Context) -> Outcome:
    """The flood, the load, the snapshot."""
    outcome = Outcome("overload", "more changes than can be indexed: lag, memory, queries, freshness of live changes")
    with context.production() as system:
        system.start_all()
        outcome.say(f"vectors in {system.vector_store}; {_QUERIES_PER_S} queries/s all the time")
        _observe(context, system, seconds=context.seconds(6.0), seed=60, live_per_s=_LIVE_PER_S)
        _flood(context, system, outcome)
        _load(context, system, outcome)
        _snapshot(context, system, outcome)
    return outcome


def _flood(context: Context, system: Production, outcome: Outcome) -> None:
    seconds = context.seconds(60.0)
    with Watch(system) as watch:
        sender = threading.Thread(target=_send_flood, args=(context, system, production.TOPIC, seconds))
        sender.start()
        observed = _observe(context, system, seconds=seconds, seed=61, live_per_s=0)
        sender.join()
        peak = max(watch.lag[production.TOPIC])
        drained = _drain(watch, production.TOPIC, timeout_s=900)
    queries = Distribution.of(observed["queries"])
    outcome.say(
        f"flood of texts, {_FLOOD_PER_S}/s for {seconds:.0f} s: lag up to {peak:,} records, gone after {drained:.0f} s more"
    )
    outcome.say(f"    queries meanwhile: {queries}")
    _memory(outcome, "flood", watch)
    outcome.figures["flood"] = {"peak_lag": peak, "drained_s": round(drained, 1), "query_ms": queries.as_json()}
    assert peak > _FLOOD_PER_S, f"a lag of {peak} is no overload: this machine wants a higher _FLOOD_PER_S"
    outcome.goal(Goal("lag after the flood", watch.now().get(production.TOPIC, 0), 0, "records"))
    outcome.goal(Goal("queries p95 during the flood", queries.p95, _QUERY_GOAL_MS, "ms"))


def _load(context: Context, system: Production, outcome: Outcome) -> None:
    catalogue = context.prepared.catalogue
    asyncio.run(_append(system, _BULK_TOPIC, list(changes(catalogue, 71, _TEXTS))))
    with Watch(system) as watch:
        left_before = asyncio.run(_uncommitted(system, _BULK_TOPIC))
        observed = _observe(context, system, seconds=context.seconds(60.0), seed=62, live_per_s=_LIVE_PER_S)
        left = asyncio.run(_uncommitted(system, _BULK_TOPIC))
    fresh = Distribution.of([each for kind in observed["visible"].values() for each in kind])
    queries = Distribution.of(observed["queries"])
    outcome.say(
        f"bulk load of {left_before:,} texts beside {_LIVE_PER_S} live changes/s: {left_before - left:,} done, {left:,} left"
    )
    outcome.say(f"    live changes visible after {fresh}; queries {queries}")
    _memory(outcome, "load", watch)
    outcome.figures["load"] = {
        "records": left_before,
        "done": left_before - left,
        "live_visible_ms": fresh.as_json(),
        "query_ms": queries.as_json(),
    }
    assert left > 0, "the load was through before the live changes were: nothing was measured beside it"
    outcome.goal(Goal("live changes p99 during the load", fresh.p99, _FRESH_GOAL_MS, "ms"))
    outcome.goal(Goal("bulk records done meanwhile", left_before - left, 1, "records", most=False))


def _snapshot(context: Context, system: Production, outcome: Outcome) -> None:
    reads = list(changes(context.prepared.catalogue, 72, _TEXTS))
    position = time.time_ns() // 1000
    before = _diverted(system)
    records = (Record(b"{}", change.encode_read(position + number)) for number, change in enumerate(reads))
    asyncio.run(append(system.kafka.bootstrap, production.TOPIC, records))
    with Watch(system) as watch:
        observed = _observe(context, system, seconds=context.seconds(60.0), seed=63, live_per_s=_LIVE_PER_S)
        moved = _diverted(system) - before
        left = asyncio.run(_uncommitted(system, _BULK_TOPIC))
    fresh = Distribution.of([each for kind in observed["visible"].values() for each in kind])
    queries = Distribution.of(observed["queries"])
    outcome.say(
        f"snapshot of {len(reads):,} rows in the live topic beside {_LIVE_PER_S} live changes/s: {moved:,.0f} moved to the bulk"
        f" topic, {left:,} left there"
    )
    outcome.say(f"    live changes visible after {fresh}; queries {queries}")
    _memory(outcome, "snapshot", watch)
    outcome.figures["snapshot"] = {
        "records": len(reads),
        "moved": moved,
        "left": left,
        "live_visible_ms": fresh.as_json(),
        "query_ms": queries.as_json(),
    }
    outcome.goal(Goal("snapshot reads moved out of the way", moved, len(reads), "records", most=False))
    outcome.goal(Goal("live changes p99 during the snapshot", fresh.p99, _FRESH_GOAL_MS, "ms"))


def _diverted(system: Production) -> float:
    """Records that the indexer has moved to the bulk topic, by its own count."""
    shown = httpx.get(system.url("indexer", "/metrics"), timeout=10).text
    return sum(
        float(line.rpartition(" ")[2])
        for line in shown.splitlines()
        if line.startswith("ferroflux_indexer_diverted_total")
    )


def _memory(outcome: Outcome, spell: str, watch: Watch) -> None:
    for process, seen in watch.memory.items():
        outcome.say(
            f"    {process}: RSS {seen[0]:,.0f} MB at first, {max(seen):,.0f} at most, {seen[-1]:,.0f} at the end"
        )
        outcome.figures.setdefault("memory", {})[f"{spell}_{process}"] = [seen[0], max(seen), seen[-1]]
        outcome.goal(Goal(f"{process}: memory growth, {spell}", watch.growth_mb(process), _GROWTH_GOAL_MB, "MB"))


def _observe(context: Context, system: Production, *, seconds: float, seed: int, live_per_s: float) -> dict:  # type: ignore[type-arg]
    return send_load(
        Load(
            bootstrap=system.kafka.bootstrap,
            topic=production.TOPIC,
            host="127.0.0.1",
            port=system.ports["api"],
            quick=context.quick,
            seed=seed,
            seconds=seconds,
            changes_per_s=live_per_s,
            queries_per_s=_QUERIES_PER_S,
            followed_per_s=min(live_per_s, 6.0),
        )
    )


def _send_flood(context: Context, system: Production, topic: str, seconds: float) -> None:
    """So many a second for so long, in pieces of half a second."""
    endless = itertools.chain.from_iterable(
        changes(context.prepared.catalogue, seed, _TEXTS) for seed in itertools.count(80)
    )
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.monotonic()
        asyncio.run(_append(system, topic, list(itertools.islice(endless, _FLOOD_PER_S // 2))))
        time.sleep(max(0.0, 0.5 - (time.monotonic() - began)))


async def _uncommitted(system: Production, topic: str) -> int:
    """Records that the indexer has not committed; its own lag counts those in hand as done until the first commit."""
    ends = await end_offsets(system.kafka.bootstrap, topic)
    done = await committed(system.kafka.bootstrap, production.GROUP)
    return sum(end - max(0, done.get((topic, number), 0)) for number, end in ends.items())


async def _append(system: Production, topic: str, work: list) -> None:  # type: ignore[type-arg]
    now_us = time.time_ns() // 1000
    records = (Record(change.key.kafka_key, change.encode(now_us + number)) for number, change in enumerate(work))
    await append(system.kafka.bootstrap, topic, records)


def _drain(watch: Watch, topic: str, *, timeout_s: float) -> float:
    """Wait until nothing is left of a topic; seconds that this took."""
    began = time.monotonic()
    while watch.now().get(topic, 0):
        assert time.monotonic() - began < timeout_s, f"the lag of {topic} does not fall: {watch.now()}"
        time.sleep(0.5)
    return time.monotonic() - began
