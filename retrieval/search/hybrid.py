"""Hybrid search: plan, run the retrievers side by side, fuse, rerank, check against the replica, hydrate, count facets."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self, TypeVar

from retrieval.aliases.live import LiveAliases
from retrieval.aliases.shipped import shipped_aliases
from retrieval.analysis.folding import normal_form
from retrieval.analysis.tokens import AnalysedText
from retrieval.encoders.port import TextEncoder
from retrieval.filters import CatalogueFilter
from retrieval.rerank.port import Reranker, RerankerRevision
from retrieval.search.facets import count_facets
from retrieval.search.planning.knowledge import ReplicaKnowledge
from retrieval.search.planning.plan import QueryPlan
from retrieval.search.planning.planner import QueryPlanner
from retrieval.search.query import Hit, SearchQuery, SearchResult, SearchTrace, Stopwatch
from retrieval.search.ranking.confidence import Route, RouteDecision, code_is_enough, dense_is_sure, low_confidence
from retrieval.search.ranking.fusion import FusedCandidate, RankedHit, weighted_rrf, weighted_scores
from retrieval.search.ranking.hydration import Hydrated, hydrate
from retrieval.search.ranking.reranking import EXACT, Reranked, RerankStage
from retrieval.search.retrievers.encoding_queue import EncodingQueue
from retrieval.search.retrievers.fanout import RetrieverOutcome, SearchUnavailableError, run_retrievers
from retrieval.search.retrievers.query_encoders import QueryVectors, SparseQueryEncoder
from retrieval.search.retrievers.retriever import (
    CodeRetriever,
    ListRetriever,
    RedirectRetriever,
    Retriever,
    TextRetriever,
    VectorRetriever,
)
from retrieval.search.settings import FusionMethod, SearchSettings
from retrieval.text.port import TextIndexReader
from retrieval.understanding import QueryType
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.spaces import SPARSE_VECTOR, TEXT_VECTOR
from schemas.api.explain import RetrieverName
from schemas.documents import SearchDocument
from schemas.identity import SkuKey, TenantId

T = TypeVar("T")

_ENCODED_WITHIN: Final = 0.7
"""Part of a retriever's deadline in which its query has to be encoded; the store has the rest."""

Analyse = Callable[[str], AnalysedText]
"""Text analysis of the query side; must be the analysis that the index was written with."""


class HybridSearcher:
    """Answers searches over one text replica and one vector collection, from one event loop.

    It owns the threads on which the replica is read and queries are encoded; `close` ends them. The stores belong to
    the caller.
    """

    def __init__(
        self,
        retrievers: Sequence[Retriever],
        reader: TextIndexReader,
        planner: QueryPlanner,
        settings: SearchSettings,
        *,
        reading: ThreadPoolExecutor,
        encoding: ThreadPoolExecutor | None = None,
        rerank: RerankStage | None = None,
    ) -> None:
        self._legs = retrievers
        self._reader = reader
        self._planner = planner
        self._settings = settings
        self._reading = reading
        self._encoding = encoding
        self._rerank = rerank

    @classmethod
    def over(
        cls,
        *,
        vectors: VectorIndex,
        encoder: TextEncoder,
        reader: TextIndexReader,
        analyse: Analyse,
        settings: SearchSettings,
        aliases: LiveAliases | None = None,
        reranker: Reranker | None = None,
    ) -> Self:
        """The searcher with every retriever whose weight is above 0; without `aliases`, with the shipped table alone.

        With a `reranker`, hits are reranked as `settings.rerank` says.
        """
        reading = ThreadPoolExecutor(settings.reader_threads, thread_name_prefix="text-reader")
        encoding = ThreadPoolExecutor(settings.encoder_threads, thread_name_prefix="query-encoder")
        queue = EncodingQueue(
            encoder.encode_queries,
            encoding,
            at_once=settings.encoder_threads,
            within_s=_ENCODED_WITHIN * settings.deadline_s,
        )
        queries = QueryVectors(queue, max_bytes=settings.query_cache_bytes)
        retrievers: list[Retriever] = [
            RedirectRetriever(reader, reading, depth=settings.code_depth),
            CodeRetriever(reader, reading, depth=settings.code_depth),
            TextRetriever(reader, reading, depth=settings.depth),
            VectorRetriever(RetrieverName.DENSE, TEXT_VECTOR, vectors, queries, settings.depth),
            ListRetriever(reader, reading, depth=settings.list_depth),
        ]
        if encoder.sparse is not None:
            words = SparseQueryEncoder(encoder.sparse, encoding, max_bytes=settings.query_cache_bytes)
            retrievers.append(VectorRetriever(RetrieverName.SPARSE, SPARSE_VECTOR, vectors, words, settings.depth))
        weighted = [retriever for retriever in retrievers if settings.weight(retriever.name) > 0]
        knowledge = ReplicaKnowledge(reader, aliases if aliases is not None else LiveAliases(shipped_aliases()))
        planner = QueryPlanner(knowledge, analyse, settings.planning)
        stage = None if reranker is None else RerankStage(reranker, reader, settings.rerank)
        return cls(weighted, reader, planner, settings, reading=reading, encoding=encoding, rerank=stage)

    async def search(self, query: SearchQuery) -> SearchResult:
        """Answer one search.

        A retriever that fails or is late is named in `degraded` while the others answer.

        Raises:
            SearchUnavailableError: every retriever failed, or the query could not be planned or its hits read in time.
            OverloadedError: more is being asked than the encoder can do in time.
        """
        watch = Stopwatch()
        plan = await self._read(lambda: self._planner.plan(normalise_query(query.text), query.catalogue_filter))
        watch.lap("analyse")
        outcomes, decision = await self._retrieve(plan)
        watch.skip()
        lists = {outcome.retriever: outcome.hits for outcome in outcomes}
        weights = self._settings.weights_for(plan.type)
        candidates = self._fuse(lists, weights)
        watch.lap("fuse")
        excluded: frozenset[SkuKey] = frozenset()
        if plan.text_query.excluded:
            keys = [candidate.key for candidate in candidates]
            excluded = await self._read(lambda: self._reader.excluded(keys, plan.text_query))
        reranked = await self._reranked(query, plan, decision, candidates, excluded)
        if reranked is not None:
            watch.lap("rerank")
        ordered = candidates if reranked is None else reranked.order
        allowed = [candidate for candidate in ordered if candidate.key not in excluded]
        documents = {} if reranked is None else reranked.documents
        hydrated, why_low = await self._read(lambda: self._check(query, plan, lists, allowed, documents))
        watch.lap("hydrate")
        facets = None
        if query.facets:
            facets = count_facets(
                hydrated.counted, values=self._settings.facet_values, price_buckets=self._settings.price_buckets
            )
        watch.lap("facets")
        retrievers_ms = {str(outcome.retriever): round(outcome.milliseconds, 3) for outcome in outcomes}
        return SearchResult(
            hits=tuple(
                Hit(document, found.score, found.contributions, reranked.changes.get(found.key) if reranked else None)
                for found, document in hydrated.page
            ),
            total=hydrated.total,
            truncated=any(outcome.reached_depth for outcome in outcomes),
            facets=facets,
            degraded={outcome.retriever: outcome.degraded for outcome in outcomes if outcome.degraded},
            timings_ms={"analyse": watch.laps.pop("analyse"), **retrievers_ms, **watch.laps, "total": watch.total()},
            low_confidence=why_low,
            trace=SearchTrace(plan, decision, outcomes, weights, candidates, excluded, reranked),
        )

    @property
    def reranker(self) -> RerankerRevision | None:
        """The model that reranks; None where none does."""
        return None if self._rerank is None else self._rerank.revision

    @property
    def fusion(self) -> str:
        """The method by which lists become one, with its constant."""
        settings = self._settings
        return f"rrf, k = {settings.rrf_k:g}" if settings.fusion is FusionMethod.RRF else str(settings.fusion)

    async def plan(self, text: str, catalogue_filter: CatalogueFilter) -> QueryPlan:
        """How a query would be searched, without searching it."""
        return await self._read(lambda: self._planner.plan(normalise_query(text), catalogue_filter))

    async def warm(self, tenants: Iterable[TenantId]) -> None:
        """Learn these tenants' vocabularies, so that no query waits for it; one after the other, off the loop."""
        for tenant in tenants:
            catalogue_filter = CatalogueFilter(tenant)
            await asyncio.get_running_loop().run_in_executor(self._reading, self._planner.plan, "", catalogue_filter)

    async def _retrieve(self, plan: QueryPlan) -> tuple[list[RetrieverOutcome], RouteDecision]:
        """Run the retrievers that the query needs, as the routing settings allow."""
        routing, deadline_s = self._settings.routing, self._settings.deadline_s
        done: list[RetrieverOutcome] = []
        waiting = list(self._legs)
        if routing.code_first and plan.type is QueryType.CODE:
            first = [retriever for retriever in waiting if retriever.name in EXACT]
            done = await run_retrievers(first, plan, deadline_s=deadline_s, alone=False)
            if code_is_enough(plan, _hits(done, RetrieverName.CODE), routing):
                return done, RouteDecision(Route.CODE, "the query is one code that a product has")
            waiting = [retriever for retriever in waiting if retriever not in first]
        if routing.dense_first:
            first = [retriever for retriever in waiting if retriever.name is not RetrieverName.TEXT]
            done += await run_retrievers(first, plan, deadline_s=deadline_s, alone=False)
            if dense_is_sure(_hits(done, RetrieverName.DENSE), routing):
                return done, RouteDecision(Route.DENSE, "the nearest product is near, and clearly nearer than the rest")
            waiting = [retriever for retriever in waiting if retriever not in first]
        done += await run_retrievers(
            waiting, plan, deadline_s=deadline_s, alone=not any(not one.degraded for one in done)
        )
        return done, RouteDecision(Route.FULL, "all retrievers that apply were asked")

    async def _reranked(
        self,
        query: SearchQuery,
        plan: QueryPlan,
        decision: RouteDecision,
        candidates: Sequence[FusedCandidate],
        excluded: frozenset[SkuKey],
    ) -> Reranked | None:
        """The candidates in the reranker's order; None where there is no reranker, or nothing for it to do."""
        if self._rerank is None or decision.route is Route.CODE:
            return None
        return await self._rerank.rerank(plan, candidates, query.catalogue_filter, self._read, without=excluded)

    def _fuse(
        self, lists: dict[RetrieverName, Sequence[RankedHit]], weights: dict[RetrieverName, float]
    ) -> list[FusedCandidate]:
        if self._settings.fusion is FusionMethod.SCORES:
            return weighted_scores(lists, weights=weights)
        return weighted_rrf(lists, k=self._settings.rrf_k, weights=weights)

    def _check(
        self,
        query: SearchQuery,
        plan: QueryPlan,
        lists: dict[RetrieverName, Sequence[RankedHit]],
        candidates: Sequence[FusedCandidate],
        documents: Mapping[SkuKey, SearchDocument],
    ) -> tuple[Hydrated, str | None]:
        """What the replica says of the candidates (alive, within the filter), and why confidence is low, if it is; blocking."""
        hydrated = hydrate(
            self._reader,
            candidates,
            catalogue_filter=query.catalogue_filter,
            offset=query.offset,
            limit=query.limit,
            everything=query.facets,
            documents=documents,
        )
        why_low = low_confidence(
            plan,
            meets_all=lambda: self._reader.meets_all(plan.text_query, catalogue_filter=query.catalogue_filter),
            dense=lists.get(RetrieverName.DENSE, ()),
            found=hydrated.total > 0,
            named=any(lists.get(name) for name in EXACT),
            settings=self._settings.confidence,
        )
        return hydrated, why_low

    async def _read(self, work: Callable[[], T]) -> T:
        """Blocking work on the replica, off the loop and under the deadline."""
        try:
            async with asyncio.timeout(self._settings.hydration_deadline_s):
                return await asyncio.get_running_loop().run_in_executor(self._reading, work)
        except TimeoutError as error:
            raise SearchUnavailableError("the text replica did not answer in time; try again in a moment") from error

    def close(self) -> None:
        """End the threads; what is running ends by itself, what waits is dropped."""
        for executor in (self._reading, self._encoding):
            if executor is not None:
                executor.shutdown(wait=False, cancel_futures=True)
        if self._rerank is not None:
            self._rerank.close()


def normalise_query(text: str) -> str:
    """A query as every retriever gets it: NFC, control characters as blanks, blanks collapsed."""
    visible = "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)
    return " ".join(normal_form("NFC", visible).split())


def _hits(outcomes: Sequence[RetrieverOutcome], retriever: RetrieverName) -> Sequence[RankedHit]:
    return next((outcome.hits for outcome in outcomes if outcome.retriever is retriever), ())
