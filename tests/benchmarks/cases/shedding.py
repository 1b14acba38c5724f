"""Shedding: demand above what the machine can do, in both topologies; as many good answers as ever, the rest refused at once.

First the saturation figure: clients that ask again as soon as they are answered, beside the changes and the eyes that follow
them. Then, on a timetable of independent askers, 1.2 and 3 times as many queries a second, beside the same changes. Every
query is another one, so no cache helps. A good answer is a 200 with every retriever in it.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.distribution import Distribution
from tests.benchmarks.report.outcome import Goal, Outcome
from tests.benchmarks.systems import embedded, production
from tests.benchmarks.workload.generator import Load
from tests.benchmarks.workload.launch import send_load

_CLIENTS = 8
_FACTORS = (1.2, 3.0)
_CHANGES_PER_S = 20.0
_CHANGES_SEED = 89
_FOLLOWED_PER_S = 4.0
_LOOK_EVERY_S = 0.1
_SECONDS = 30.0

_GOOD_SHARE = 0.9
_DEGRADED_SHARE = 0.01
_ANSWER_MS = 400
_REFUSAL_MS = 50
_FRESH_MS = 1_000


@dataclass(frozen=True, slots=True)
class Target:
    """A running system: what it is called, where its log and its search are."""

    name: str
    bootstrap: str
    topic: str
    port: int


def run(context: Context) -> Outcome:
    """Both topologies, one after the other."""
    outcome = Outcome("shedding", "more queries than can be answered: good answers, refusals, freshness beside them")
    with context.embedded() as up:
        _observe(context, outcome, Target("up", up.bootstrap, embedded.TOPIC, up.port))
    try:
        with context.production() as system:
            system.start_all()
            outcome.say(f"production: vectors in {system.vector_store}; text index in {system.text_store}")
            target = Target("production", system.kafka.bootstrap, production.TOPIC, system.ports["api"])
            _observe(context, outcome, target)
    except pytest.skip.Exception as missing:
        outcome.say(f"production not measured: {missing}")
        outcome.goal(Goal("topologies measured", 1, 2, "", most=False))
    return outcome


def _observe(context: Context, outcome: Outcome, target: Target) -> None:
    seconds = context.seconds(_SECONDS)
    load = _loads(context, target, seconds)
    send_load(load(seed=90, clients=_CLIENTS, seconds=context.seconds(8.0)))  # warms up
    saturated = send_load(load(seed=91, clients=_CLIENTS))
    saturation = len(saturated["good"]) / seconds
    outcome.say(
        f"{target.name}: {saturation:.1f} good answers/s from {_CLIENTS} clients beside {_CHANGES_PER_S:g} changes/s; "
        f"{Distribution.of(saturated['good'])}; {_others(saturated)}; changes visible after {_fresh(saturated)}"
    )
    figures = outcome.figures[target.name] = {"saturation_per_s": round(saturation, 1)}
    for number, factor in enumerate(_FACTORS):
        found = send_load(load(seed=92 + number, queries_per_s=factor * saturation))
        figures[f"at_{factor:g}"] = _judge(outcome, f"{target.name} at {factor:g}", found, saturation, seconds)


def _loads(context: Context, target: Target, seconds: float) -> Callable[..., Load]:
    sent = itertools.count(step=int(_CHANGES_PER_S * seconds) + 1)

    def load(**other: Any) -> Load:
        return Load(
            **{
                "bootstrap": target.bootstrap,
                "topic": target.topic,
                "host": "127.0.0.1",
                "port": target.port,
                "quick": context.quick,
                "seconds": seconds,
                "changes_per_s": _CHANGES_PER_S,
                "queries_per_s": 0.0,
                "followed_per_s": _FOLLOWED_PER_S,
                "look_every_s": _LOOK_EVERY_S,
                "changes_seed": _CHANGES_SEED,
                "first_change": next(sent),
                **other,
            }
        )

    return load


def _judge(outcome: Outcome, spell: str, found: dict[str, Any], saturation: float, seconds: float) -> dict[str, Any]:
    good, fresh = Distribution.of(found["good"]), _fresh(found)
    degraded = found["counts"].get("query_degraded", 0)
    refused = Distribution.of(found["refused"]) if found["refused"] else None
    answered = good.count + degraded
    outcome.say(
        f"{spell} times that: {len(found['queries']) / seconds:.1f} queries/s asked, {good.count / seconds:.1f} answered whole, "
        f"{degraded} degraded, {_others(found)}"
    )
    outcome.say(f"    good answers {good}; refused after {refused}; changes visible after {fresh}")
    outcome.say(f"    the load's own longest pause: {found['longest_pause_ms']:.0f} ms")
    outcome.goal(
        Goal(f"{spell}: good answers ÷ saturation", good.count / seconds / saturation, _GOOD_SHARE, "", most=False)
    )
    outcome.goal(Goal(f"{spell}: degraded share of answers", degraded / answered, _DEGRADED_SHARE, ""))
    outcome.goal(Goal(f"{spell}: good answers p95", good.p95, _ANSWER_MS, "ms"))
    if refused is not None:
        outcome.goal(Goal(f"{spell}: refusals p99", refused.p99, _REFUSAL_MS, "ms"))
    unseen = found["counts"].get("never_seen", 0)
    outcome.goal(Goal(f"{spell}: changes p99", float("inf") if unseen else fresh.p99, _FRESH_MS, "ms"))
    return {
        "asked": len(found["queries"]),
        "good_per_s": round(good.count / seconds, 1),
        "degraded": degraded,
        "statuses": {name: count for name, count in found["counts"].items() if name.startswith("query_status")},
        "good_ms": good.as_json(),
        "refused_ms": None if refused is None else refused.as_json(),
        "visible_ms": fresh.as_json(),
    }


def _fresh(found: dict[str, Any]) -> Distribution:
    return Distribution.of([each for kind in found["visible"].values() for each in kind])


def _others(found: dict[str, Any]) -> str:
    statuses = {name.rpartition("_")[2]: n for name, n in found["counts"].items() if name.startswith("query_status")}
    return ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items())) or "nothing refused"
