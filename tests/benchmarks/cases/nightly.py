"""(g) The design that ferroflux replaces, on the same machine and catalogue: a nightly batch into matrices in process.

Titles are encoded into a NumPy matrix, words go into rank-bm25, and a reload builds both anew and swaps them. It runs in
a process of its own, so that its memory is its own.
"""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import psutil
from rank_bm25 import BM25Okapi

from retrieval.encoders.port import Matrix, TextEncoder
from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.distribution import Distribution
from tests.benchmarks.report.outcome import Outcome
from tests.benchmarks.systems.prepared import encoder
from tests.benchmarks.workload.catalogue import Catalogue
from tests.benchmarks.workload.queries import distinct_queries
from tests.support.data import ROOT

_RRF_K = 60
_DEPTH = 100
_HALF_A_DAY_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One night's state: rows, their vectors, their words. Nothing in it can be changed, only replaced."""

    tenants: Any
    matrix: Matrix
    words: BM25Okapi

    @classmethod
    def build(cls, catalogue: Catalogue, coder: TextEncoder) -> "Snapshot":
        titles = [str(row["title"]) for row in catalogue.rows]
        return cls(
            np.array([row["tenant"] for row in catalogue.rows]),
            coder.encode_passages(titles),
            BM25Okapi([title.lower().split() for title in titles]),
        )

    def search(self, tenant: str, text: str, coder: TextEncoder) -> list[int]:
        """Row numbers of the best by reciprocal rank fusion of cosine and BM25."""
        mine = self.tenants == tenant
        dense = np.where(mine, self.matrix @ coder.encode_queries([text])[0], -np.inf)
        lexical = np.where(mine, self.words.get_scores(text.lower().split()), -np.inf)
        fused: dict[int, float] = {}
        for scores in (dense, lexical):
            top = np.argpartition(-scores, min(_DEPTH, len(scores) - 1))[:_DEPTH]
            for rank, row in enumerate(top[np.argsort(-scores[top])], start=1):
                fused[int(row)] = fused.get(int(row), 0.0) + 1 / (_RRF_K + rank)
        return sorted(fused, key=lambda row: -fused[row])[:20]


def run(context: Context) -> Outcome:
    """Reload time, memory, staleness and query latency of the old design."""
    outcome = Outcome("nightly", "the design it replaces: nightly batch, NumPy matrix and rank-bm25 in process")
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.cases.nightly", *(["--quick"] if context.quick else [])],
        stdout=subprocess.PIPE,
        check=True,
        cwd=ROOT,
        timeout=1200,
    )
    found = orjson.loads(done.stdout.splitlines()[-1])
    queries = Distribution(**found["query_ms"])
    stale_s = _HALF_A_DAY_S + found["reload_s"]
    outcome.say(
        f"full reload: {found['reload_s']:,.1f} s for any change (encoding alone, measured before it: {found['encode_s']:,.1f} s)"
    )
    outcome.say(f"staleness of a change: half a day + reload = {stale_s / 3600:.1f} h at the median, 24 h at most")
    outcome.say(f"memory of each worker: RSS {found['rss_mb']:,.0f} MB; while it reloads {found['peak_mb']:,.0f} MB")
    outcome.say(f"query: {queries}")
    outcome.figures = {**found, "stale_median_s": round(stale_s)}
    return outcome


def measure(*, quick: bool) -> dict[str, Any]:
    """Build once, ask, build again beside the old state, as a reload without downtime must."""
    catalogue, coder, process = Catalogue.load(quick=quick), encoder(), psutil.Process()
    started = time.perf_counter()
    coder.encode_passages([str(row["title"]) for row in catalogue.rows])
    encode_s = time.perf_counter() - started
    started = time.perf_counter()
    snapshot = Snapshot.build(catalogue, coder)
    reload_s = time.perf_counter() - started
    rss = process.memory_info().rss
    queries = distinct_queries(catalogue, 70)
    spent = []
    for number in range(120 if quick else 520):
        query = next(queries)
        began = time.perf_counter()
        snapshot.search(query.tenant, query.text, coder)
        if number >= 20:
            spent.append(1e3 * (time.perf_counter() - began))
    beside = BM25Okapi([str(row["title"]).lower().split() for row in catalogue.rows]), snapshot.matrix.copy()
    peak = process.memory_info().rss
    del beside
    return {
        "encode_s": round(encode_s, 2),
        "reload_s": round(reload_s, 2),
        "rss_mb": rss >> 20,
        "peak_mb": peak >> 20,
        "query_ms": Distribution.of(spent).as_json(),
    }


if __name__ == "__main__":
    print(json.dumps(measure(quick="--quick" in sys.argv)))
