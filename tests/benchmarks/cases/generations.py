"""Generations: how long building one takes, with vectors taken over and with every text encoded, and how long going over and back."""

import asyncio
import json
import time
from typing import Any

import httpx

from retrieval.generations import transitions
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.generations.view import view_of
from schemas.records.generations import MAIN
from schemas.topics import KafkaSettings
from tests.benchmarks.cases.cold_start import fill_log
from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.outcome import Goal, Outcome
from tests.benchmarks.systems.production import Production

_MOVES = 5
_WAIT_S = 7200
_LOOK_S = 0.01


def run(context: Context) -> Outcome:
    """The catalogue is in the vector store and in the documents topic, as after the change topic's retention; indexer, replica, API run."""
    outcome = Outcome("generations", "building a generation of the catalogue, promoting it, rolling back")
    with context.production() as system:
        system.start("indexer")  # its first start makes the topics
        system.wait_ready("indexer")
        products = asyncio.run(fill_log(context, system))
        for name in ("replica", "api"):
            system.start(name)
            system.wait_ready(name, 300)
        for name, what, options in (
            ("taken", "vectors taken over", ()),
            ("encoded", "every text encoded", ("--encode-all",)),
        ):
            built = _build(system, name, *options)
            loaded_s = _until_loaded(system, name)
            outcome.say(
                f"{what}: {built['products']:,} of {products:,} products prepared after {built['seconds']:.1f} s "
                f"({built['taken_over']:,} vectors taken over, {built['embedded']:,} texts encoded); "
                f"replica whole and worker ready {loaded_s:.1f} s later"
            )
            outcome.figures[what] = {**built, "loaded_after_s": round(loaded_s, 2)}
        moves = asyncio.run(_moves(system))
        outcome.say(
            f"promotion and rollback, command decided → the worker answers from it, s: {', '.join(f'{one:.2f}' for one in moves)}"
        )
        outcome.figures["moves_s"] = [round(one, 3) for one in moves]
        outcome.goal(Goal("slowest promotion or rollback", max(moves), 1.0, "s"))
    return outcome


def _build(system: Production, name: str, *options: str) -> dict[str, Any]:
    on = ("--kafka", system.kafka.bootstrap)
    process = system.start(f"build-{name}", "generation", "build", name, *on, "--json", "--from", "documents", *options)
    gives_up = time.monotonic() + _WAIT_S
    while process.running:
        assert time.monotonic() < gives_up, process.tail()
        time.sleep(0.2)
    said = process.log.read_text()
    assert process.returncode == 0, said[-2000:]
    found: dict[str, Any] = json.loads(said[said.index("{\n") :])
    return found


def _until_loaded(system: Production, name: str) -> float:
    started = time.perf_counter()
    while system.status()["generation"]["loaded"].get(name) != "":
        assert time.perf_counter() - started < _WAIT_S, system.processes["api"].tail()
        time.sleep(0.1)
    return time.perf_counter() - started


async def _moves(system: Production) -> list[float]:
    """Seconds of promotions and rollbacks in turn, from the call that decides to the first status that says so."""
    store = KafkaGenerationStore(KafkaSettings(bootstrap=system.kafka.bootstrap))
    seconds = []
    async with httpx.AsyncClient(base_url=system.url("api")) as client:
        for number in range(2 * _MOVES):
            wanted = MAIN if number % 2 else "taken"
            epoch = view_of(await store.records()).pointer.epoch
            now_us = time.time_ns() // 1000
            started = time.perf_counter()
            await store.commit(
                transitions.roll_back(expected_epoch=epoch, now_us=now_us)
                if number % 2
                else transitions.promote("taken", expected_epoch=epoch, now_us=now_us)
            )
            while (await client.get("/v1/status")).json()["generation"]["answering"] != wanted:  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(_LOOK_S)
            seconds.append(time.perf_counter() - started)
    return seconds
