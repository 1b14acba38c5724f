"""The whole catalogue through real Kafka with two indexers: how long it takes, that both stores agree, and ten searches."""

import asyncio
import sys
import time
from collections import Counter

import httpx

from retrieval.vectors.port import VectorIndex
from schemas.identity import TenantId
from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.outcome import Outcome
from tests.benchmarks.report.processes import cpu_seconds
from tests.benchmarks.systems.production import Production
from tests.benchmarks.workload.catalogue import Catalogue
from tests.benchmarks.workload.queries import distinct_queries
from tests.support.data import ROOT
from tests.support.processes import ManagedProcess

_SEARCHES = 10
_SHOWN = 3
_WAIT_S = 3600


def run(context: Context) -> Outcome:
    """Two indexers of one group, a replica and an API worker start on empty stores; `ferroflux ingest` fills the topic."""
    outcome = Outcome("load", "a catalogue through Kafka, two indexers and the real encoder")
    catalogue = context.prepared.catalogue
    with context.prepared.scratch() as folder, context.production(catalogue_loaded=False) as system:
        file = folder / "catalogue.jsonl.gz"
        catalogue.write(file)
        for name, command in (("indexer", ()), ("indexer-2", ("indexer",)), ("replica", ()), ("api", ())):
            system.start(name, *command)
        for name in ("indexer", "indexer-2", "replica", "api"):
            system.wait_ready(name)
        started = time.perf_counter()
        ingest = ManagedProcess(
            "ingest",
            [sys.executable, "-m", "ferroflux.cli.main", "ingest", str(file), "--kafka", system.kafka.bootstrap],
            log_dir=folder / "logs",
            env={"PYTHONPATH": str(ROOT)},
        )
        ingest.start()
        while ingest.running:
            time.sleep(0.2)
        assert ingest.returncode == 0, ingest.tail()
        sent = time.perf_counter() - started
        counts = _when_loaded(system, catalogue)
        seconds = time.perf_counter() - started
        shares = {name: round(cpu_seconds(system.processes[name].pid), 1) for name in ("indexer", "indexer-2")}
        outcome.say(
            f"{len(catalogue.rows):,} products searchable after {seconds:.0f} s ({len(catalogue.rows) / seconds:.0f}/s); "
            f"all were in Kafka after {sent:.0f} s; processor seconds of the indexers: {shares}"
        )
        for tenant, (vectors, text, wanted) in counts.items():
            outcome.say(
                f"    {tenant}: {vectors:,} in the vector store, {text:,} in the replica, {wanted:,} in the file"
            )
        _show_searches(system, catalogue, outcome)
    outcome.figures["load"] = {
        "products": len(catalogue.rows),
        "seconds": round(seconds, 1),
        "per_second": round(len(catalogue.rows) / seconds, 1),
        "indexer_cpu_s": shares,
        "counts": {tenant: {"vectors": v, "text": t, "file": w} for tenant, (v, t, w) in counts.items()},
    }
    return outcome


def _when_loaded(system: Production, catalogue: Catalogue) -> dict[str, tuple[int, int, int]]:
    """Counts by tenant in the vector store, the text replica and the file, once all three agree.

    Raises:
        AssertionError: they did not within the time.
    """
    wanted = Counter(str(tenant) for tenant, _ in {(row["tenant"], str(row["sku"])) for row in catalogue.rows})
    ends = time.monotonic() + _WAIT_S
    while True:
        text: dict[str, int] = system.status()["catalogue"]["by_tenant"]
        if sum(text.values()) >= wanted.total():
            vectors = asyncio.run(_vector_counts(system, list(wanted)))
            found = {tenant: (vectors[tenant], text.get(tenant, 0), wanted[tenant]) for tenant in sorted(wanted)}
            if all(len(set(each)) == 1 for each in found.values()):
                return found
        assert time.monotonic() < ends, f"the stores never agreed with the file: {text} of {dict(wanted)}"
        time.sleep(0.5)


async def _vector_counts(system: Production, tenants: list[str]) -> dict[str, int]:
    index: VectorIndex = await system.vector_index()
    try:
        return {tenant: (await index.counts(TenantId(tenant))).alive for tenant in tenants}
    finally:
        await index.close()


def _show_searches(system: Production, catalogue: Catalogue, outcome: Outcome) -> None:
    """Two to four words of a title each, and how many of the first hits there were; titles are not ours to print in full."""
    queries = distinct_queries(catalogue, 70)
    found = 0
    for _ in range(_SEARCHES):
        query = next(queries)
        body = {"tenant": query.tenant, "text": query.text, "limit": _SHOWN}
        answer = httpx.post(system.url("api", "/v1/search"), json=body, timeout=30).raise_for_status().json()
        found += bool(answer["hits"])
        hits = "; ".join(hit["item"]["title"][:60] for hit in answer["hits"])
        outcome.say(f"    {query.tenant}: {query.text!r} → {hits} ({answer['timings_ms']['total']:.0f} ms)")
    outcome.figures["searches"] = {"asked": _SEARCHES, "answered": found}
    assert found == _SEARCHES, f"only {found} of {_SEARCHES} searches found something"
