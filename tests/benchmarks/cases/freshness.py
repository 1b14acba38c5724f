"""(a) Freshness: from the commit of a change to the answer of the API that shows it, under changes and queries at once."""

from typing import Any

import httpx

from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.distribution import Distribution
from tests.benchmarks.report.outcome import Goal, Outcome
from tests.benchmarks.report.processes import cpu_seconds
from tests.benchmarks.systems import embedded, production
from tests.benchmarks.workload.generator import Load
from tests.benchmarks.workload.launch import send_load

RATES = (20, 100, 200)
QUERIES_PER_S = 50
_FOLLOWED_PER_S = 3.0  # each is looked for some 30 times: more would be a load of its own beside the 50 queries/s
_ATTEMPTS = 30
_AT_ONCE_MS = 1_000
_P50_GOAL_MS = 150
_P99_GOAL_MS = 600


def run(context: Context) -> Outcome:
    """Both topologies, each rate after the other; the goal is the production topology's at the highest rate."""
    outcome = Outcome("freshness", "commit of a change → visible through the API, ms")
    outcome.say(
        f"mix: 35 % price, 35 % stock, 25 % text, 5 % delete or insert; {QUERIES_PER_S} queries/s, none twice; "
        "all processes, the load generator too, share the machine's cores"
    )
    with context.production() as system:
        system.start_all()
        outcome.say(
            f"production: Apache Kafka, indexer, replica, API; vectors in {system.vector_store}; text index in {system.text_store}"
        )
        pids = {name: process.pid for name, process in system.processes.items()} | {"kafka": system.kafka.process.pid}
        target = (system.kafka.bootstrap, production.TOPIC, system.ports["api"])
        found = _rates(context, outcome, "production", target, pids)
    _goals(outcome, "production", found)
    with context.embedded() as up:
        outcome.say("embedded: ferroflux up, one process")
        found = _rates(context, outcome, "embedded", (up.bootstrap, embedded.TOPIC, up.port), {"up": up.process.pid})
    _goals(outcome, "embedded", found)
    return outcome


def _rates(
    context: Context, outcome: Outcome, topology: str, target: tuple[str, str, int], pids: dict[str, int]
) -> Distribution:
    _bootstrap, _topic, port = target
    _send(context, target, seed=90, rate=20, seconds=min(6.0, context.seconds(6.0)))  # warms caches and compilers
    for number, rate in enumerate(RATES):
        if not _caught_up(context, target, seed=80 + number):
            outcome.say(f"{topology}: the run at {rate}/s began with a backlog of the one before")
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        seconds = context.seconds(40.0)
        observed = _send(context, target, seed=91 + number, rate=rate, seconds=seconds)
        used = {name: round((cpu_seconds(pid) - before[name]) / seconds, 2) for name, pid in pids.items()}
        visible = Distribution.of([each for kind in observed["visible"].values() for each in kind])
        queries = Distribution.of(observed["queries"])
        own = httpx.get(f"http://127.0.0.1:{port}/v1/status", timeout=10).json()["freshness"]["changed_to_visible_ms"]
        outcome.say(f"{topology}, {rate} changes/s: visible after {visible}")
        outcome.say(f"    queries: {queries}; counts {_notable(observed['counts'])}")
        outcome.say(f"    cores used: {', '.join(f'{name} {share}' for name, share in used.items())}")
        outcome.figures[f"{topology}_{rate}"] = {
            "visible_ms": visible.as_json(),
            "visible_ms_by_kind": {k: Distribution.of(v).as_json() for k, v in observed["visible"].items()},
            "query_ms": queries.as_json(),
            "acknowledged_ms": Distribution.of(observed["acknowledged"]).as_json(),
            "counts": observed["counts"],
            "generator_longest_pause_ms": round(observed["longest_pause_ms"], 1),
            "cores_used": used,
            "worker_says_changed_to_visible_ms": own,
        }
        assert not observed["counts"].get("failed"), f"requests failed: {observed['counts']}"
        unseen = observed["counts"].get("never_seen", 0)
        if unseen:
            outcome.goal(Goal(f"{topology}, changes that were not seen within a minute at {rate}/s", unseen, 0, ""))
    return visible


def _caught_up(context: Context, target: tuple[str, str, int], *, seed: int) -> bool:
    """Wait until nothing is left of the rate before, and say whether that came true: a few changes without queries are seen at once again."""
    for attempt in range(_ATTEMPTS):
        observed = _send(context, target, seed=1_000 + 100 * seed + attempt, rate=2, seconds=3, queries_per_s=0)
        seen = [each for kind in observed["visible"].values() for each in kind]
        if seen and max(seen) < _AT_ONCE_MS:
            return True
    return False


def _send(
    context: Context,
    target: tuple[str, str, int],
    *,
    seed: int,
    rate: float,
    seconds: float,
    queries_per_s: float = QUERIES_PER_S,
) -> dict[str, Any]:
    bootstrap, topic, port = target
    return send_load(
        Load(
            bootstrap=bootstrap,
            topic=topic,
            host="127.0.0.1",
            port=port,
            quick=context.quick,
            seed=seed,
            seconds=seconds,
            changes_per_s=rate,
            queries_per_s=queries_per_s,
            followed_per_s=_FOLLOWED_PER_S,
        )
    )


def _notable(counts: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in counts.items() if name.startswith(("query_", "never", "failed"))}


def _goals(outcome: Outcome, topology: str, visible: Distribution) -> None:
    rate = RATES[-1]
    outcome.goal(Goal(f"{topology} p50 at {rate}/s", visible.p50, _P50_GOAL_MS, "ms"))
    outcome.goal(Goal(f"{topology} p99 at {rate}/s", visible.p99, _P99_GOAL_MS, "ms"))
