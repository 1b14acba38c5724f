"""(d) Hybrid queries beside the sum of their parts (encode, vector search, BM25), in one process; how many a second; suggestions."""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Iterator

import orjson

from retrieval.analysis.pipeline import analyse
from retrieval.encoders.port import TextEncoder
from retrieval.filters import CatalogueFilter
from retrieval.search.hybrid import HybridSearcher
from retrieval.search.query import SearchQuery
from retrieval.search.settings import SearchSettings
from retrieval.search.suggestions import suggest
from retrieval.text.factory import open_reader
from retrieval.text.port import TextIndexReader
from retrieval.text.query import TextQuery
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.spaces import TEXT_VECTOR
from schemas.identity import TenantId
from tests.benchmarks.cases.context import Context
from tests.benchmarks.report.distribution import Distribution
from tests.benchmarks.report.outcome import Goal, Outcome
from tests.benchmarks.systems.prepared import encoder
from tests.benchmarks.workload.http import HttpPool
from tests.benchmarks.workload.queries import Query, distinct_queries

_GOAL = 2.5
_SUGGEST_GOAL_MS = 10.0
_SUGGESTIONS = 8
_AT_ONCE = 8


def run(context: Context) -> Outcome:
    """In process one at a time and at saturation, then over HTTP against `ferroflux up`."""
    outcome = Outcome("query", "hybrid query beside its parts, ms")
    _suggest(context, outcome)
    asyncio.run(_in_process(context, outcome))
    with context.embedded() as up:
        rate, latency = asyncio.run(_saturate_http(context, up.port))
    outcome.say(f"over HTTP (ferroflux up, facets on, {_AT_ONCE} clients): {rate:,.0f} queries/s; {latency}")
    outcome.figures["http"] = {"per_second": round(rate, 1), "ms": latency.as_json()}
    return outcome


def _suggest(context: Context, outcome: Outcome) -> None:
    """Titles typed as far as some letter of their first words, in process: wall time, and the processor's alone."""
    reader = open_reader(context.prepared.text)
    wall, processor = [], []
    for query in itertools.islice(_half_typed(context, 13), 300 if context.quick else 2_000):
        began, worked = time.perf_counter(), time.thread_time()
        suggest(reader, TenantId(query.tenant), query.text, limit=_SUGGESTIONS)
        wall.append(1e3 * (time.perf_counter() - began))
        processor.append(1e3 * (time.thread_time() - worked))
    taken, worked_for = Distribution.of(wall), Distribution.of(processor)
    outcome.say(f"suggest: {taken}; of the processor: {worked_for}")
    outcome.figures["suggest"] = {"ms": taken.as_json(), "processor_ms": worked_for.as_json()}
    outcome.goal(Goal("suggest p95", taken.p95, _SUGGEST_GOAL_MS, "ms"))


def _half_typed(context: Context, seed: int) -> Iterator[Query]:
    draw = random.Random(seed)
    while True:
        row = draw.choice(context.prepared.catalogue.rows)
        words = str(row["title"]).split() or ["tornillo"]
        typed = " ".join(words[: draw.randint(1, 4)])
        yield Query(row["tenant"], typed[: draw.randint(max(1, len(typed) - 6), len(typed))])


async def _in_process(context: Context, outcome: Outcome) -> None:
    count = 150 if context.quick else 1_000
    queries = distinct_queries(context.prepared.catalogue, 11)
    coder = encoder()
    reader = open_reader(context.prepared.text)
    async with context.prepared.vectors() as vectors:
        searcher = HybridSearcher.over(
            vectors=vectors, encoder=coder, reader=reader, analyse=analyse, settings=SearchSettings()
        )
        parts = Parts(coder, vectors, reader)
        for query in itertools.islice(queries, 50):
            await searcher.search(_search(query, facets=False))
            await parts.measure(query)
        parts.clear()
        hybrid: dict[bool, list[float]] = {False: [], True: []}
        # In turns, so that whatever else the machine does falls on all alike.
        for query in itertools.islice(queries, count):
            await parts.measure(query)
            hybrid[False].append(await _timed(lambda q=query: searcher.search(_search(q, facets=False))))  # type: ignore[misc]
        for query in itertools.islice(queries, count):
            hybrid[True].append(await _timed(lambda q=query: searcher.search(_search(q, facets=True))))  # type: ignore[misc]
        whole, with_facets, total = Distribution.of(hybrid[False]), Distribution.of(hybrid[True]), parts.total
        outcome.say(f"hybrid: {whole}")
        outcome.say(f"hybrid with facets: {with_facets}")
        for name, distribution in parts.distributions.items():
            outcome.say(f"    {name} alone: {distribution}")
        outcome.say(f"    sum of the three, query by query: {total}")
        ratio = whole.p95 / total.p95
        outcome.say(f"p95 {ratio:.2f} = {whole.p95} ÷ {total.p95}; with facets {with_facets.p95 / total.p95:.2f}")
        saturated = await _saturate(searcher, list(itertools.islice(queries, count)))
        outcome.say(f"at saturation in process ({_AT_ONCE} at once): {saturated:,.0f} queries/s")
        searcher.close()
    outcome.figures["in_process"] = {
        "hybrid_ms": whole.as_json(),
        "hybrid_with_facets_ms": with_facets.as_json(),
        "parts_ms": {name: each.as_json() for name, each in parts.distributions.items()},
        "sum_of_parts_ms": total.as_json(),
        "ratio_p95": round(ratio, 2),
        "ratio_p95_with_facets": round(with_facets.p95 / total.p95, 2),
        "saturated_per_second": round(saturated, 1),
    }
    outcome.goal(Goal("hybrid p95 ÷ p95 of its parts' sum", ratio, _GOAL, ""))
    outcome.goal(Goal("the same with facets", with_facets.p95 / total.p95, _GOAL, ""))


class Parts:
    """The three parts of a query, each measured alone, at the depth at which the hybrid uses them."""

    def __init__(self, coder: TextEncoder, vectors: VectorIndex, reader: TextIndexReader) -> None:
        self._coder = coder
        self._vectors = vectors
        self._reader = reader
        self._depth = SearchSettings().depth
        self.clear()

    def clear(self) -> None:
        self._spent: dict[str, list[float]] = {"encode": [], "vector": [], "BM25": []}

    async def measure(self, query: Query) -> None:
        within = CatalogueFilter(tenant=TenantId(query.tenant))
        times = [time.perf_counter()]
        vector = self._coder.encode_queries([query.text])[0]
        times.append(time.perf_counter())
        await self._vectors.search(vector, using=TEXT_VECTOR, within=within, limit=self._depth)
        times.append(time.perf_counter())
        self._reader.search(TextQuery.of(analyse(query.text)), within=within, limit=self._depth)
        times.append(time.perf_counter())
        for spent, (began, ended) in zip(self._spent.values(), itertools.pairwise(times), strict=True):
            spent.append(1e3 * (ended - began))

    @property
    def distributions(self) -> dict[str, Distribution]:
        return {name: Distribution.of(spent) for name, spent in self._spent.items()}

    @property
    def total(self) -> Distribution:
        """Of each query's three times together."""
        return Distribution.of([sum(each) for each in zip(*self._spent.values(), strict=True)])


async def _saturate(searcher: HybridSearcher, queries: list[Query]) -> float:
    due = iter(queries)

    async def client() -> None:
        for query in due:
            await searcher.search(_search(query, facets=True))

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(_AT_ONCE)))
    return len(queries) / (time.perf_counter() - started)


async def _saturate_http(context: Context, port: int) -> tuple[float, Distribution]:
    """Clients that ask again as soon as they are answered; they share the machine's cores with the server."""
    pool = HttpPool("127.0.0.1", port, _AT_ONCE)
    queries = distinct_queries(context.prepared.catalogue, 12)
    spent: list[float] = []
    seconds = context.seconds(20.0)
    ends = time.perf_counter() + seconds

    async def client() -> None:
        while time.perf_counter() < ends:
            query = next(queries)
            body = orjson.dumps({"tenant": query.tenant, "text": query.text})

            async def ask(body: bytes = body) -> None:
                answer = await pool.post("/v1/search", body)
                assert answer.status == 200, answer

            spent.append(await _timed(ask))

    await asyncio.gather(*(client() for _ in range(_AT_ONCE)))
    await pool.close()
    return len(spent) / seconds, Distribution.of(spent)


def _search(query: Query, *, facets: bool) -> SearchQuery:
    return SearchQuery(query.text, CatalogueFilter(tenant=TenantId(query.tenant)), facets=facets)


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    await work()
    return 1e3 * (time.perf_counter() - started)
