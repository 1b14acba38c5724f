"""(f) Cold start of a query worker: from the start of its processes to the first answer."""

import asyncio
import shutil
import time

import httpx

from retrieval.text.factory import open_reader
from schemas.identity import SkuKey
from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.outcome import Outcome
from tests.benchmarks.systems.production import DOCUMENTS, Production
from tests.benchmarks.workload.queries import distinct_queries
from tests.support.kafka.clients import Record, append

_READ = 500


def run(context: Context) -> Outcome:
    """Three times: over a replica that runs, with a text index from before, and with nothing but the log."""
    outcome = Outcome("cold_start", "process start → ready → first answer, s")
    with context.production() as system:
        system.start("indexer")  # its first start makes the topics
        system.wait_ready("indexer")
        documents = asyncio.run(fill_log(context, system))
        system.start("replica")
        system.wait_ready("replica")
        _measure(context, outcome, system, "API worker beside a running replica", ("api",))
        _measure(context, outcome, system, "replica and API worker, text index from before", ("replica", "api"))
        _stop(system, ("replica", "api"))
        shutil.rmtree(system.text)
        _measure(
            context,
            outcome,
            system,
            f"replica and API worker, empty disk, {documents:,} documents in the log",
            ("replica", "api"),
        )
    with context.embedded() as up:
        query = next(distinct_queries(context.prepared.catalogue, 60))
        started = time.perf_counter()
        _ask(up.url(), query.tenant, query.text)
        total = up.ready_after_s + time.perf_counter() - started
        outcome.say(
            f"ferroflux up, stopped in order before: ready {up.ready_after_s:.1f} s, first answer {total:.1f} s"
        )
        outcome.figures["ferroflux up"] = {"ready_s": round(up.ready_after_s, 2), "first_answer_s": round(total, 2)}
    return outcome


def _measure(context: Context, outcome: Outcome, system: Production, what: str, names: tuple[str, ...]) -> None:
    _stop(system, names)
    query = next(distinct_queries(context.prepared.catalogue, 61))
    started = time.perf_counter()
    for name in names:
        system.start(name)
    system.wait_ready("api", 300)
    ready = time.perf_counter() - started
    _ask(system.url("api"), query.tenant, query.text)
    answered = time.perf_counter() - started
    outcome.say(f"{what}: ready {ready:.1f} s, first answer {answered:.1f} s")
    outcome.figures[what] = {"ready_s": round(ready, 2), "first_answer_s": round(answered, 2)}


def _stop(system: Production, names: tuple[str, ...]) -> None:
    for name in reversed(names):
        if name in system.processes:
            system.processes[name].stop()


def _ask(url: str, tenant: str, text: str) -> None:
    answer = httpx.post(f"{url}/v1/search", json={"tenant": tenant, "text": text}, timeout=30).raise_for_status()
    assert answer.json()["hits"], "the first answer is empty"


async def fill_log(context: Context, system: Production) -> int:
    """Put the whole catalogue into the documents topic, as an indexer would have over time."""
    reader = open_reader(context.prepared.text)
    keys = [SkuKey.of(row["tenant"], str(row["sku"])) for row in context.prepared.catalogue.rows]
    for start in range(0, len(keys), _READ):
        held = reader.fetch(keys[start : start + _READ])
        records = [Record(key.kafka_key, document.to_bytes()) for key, document in held.items()]
        await append(system.kafka.bootstrap, DOCUMENTS, records)
    return len(keys)
