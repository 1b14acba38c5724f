"""The search as it ships, as a system under test: the one place of evaluation that puts a `Searcher` together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retrieval.encoders.port import TextEncoder
from retrieval.filters import CatalogueFilter
from retrieval.rerank.port import Reranker
from retrieval.search.query import Hit, SearchQuery, SearchResult
from retrieval.serving.searcher import Searcher
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorIndex
from schemas.identity import TenantId
from training.systems.indexed_catalogue import IndexedCatalogue
from training.systems.port import RankedAnswer, remembered_reranker
from training.systems.settings import EvaluationSettings


class HybridSystem:
    """Asks a `Searcher` built over the catalogue's indexes."""

    def __init__(self, searcher: Searcher, name: str) -> None:
        self.name = name
        self._searcher = searcher

    @classmethod
    def over(
        cls,
        catalogue: IndexedCatalogue,
        settings: EvaluationSettings,
        *,
        name: str = "hybrid",
        vectors: VectorIndex | None = None,
        reader: TextIndexReader | None = None,
        encoder: TextEncoder | None = None,
        reranker: Reranker | None = None,
    ) -> HybridSystem:
        """The system with these settings; a port that is passed in stands for the catalogue's own.

        Without a `reranker`, the one that the settings name, where they name one; it answers every question once.
        """
        searcher = Searcher(
            vectors=vectors or catalogue.vectors,
            encoder=encoder or catalogue.encoder,
            reader=reader or catalogue.open_reader(settings.text.weights),
            settings=settings.search,
            reranker=reranker or remembered_reranker(settings.search.rerank),
        )
        return cls(searcher, name)

    async def answer(self, text: str, tenant: TenantId, limit: int) -> RankedAnswer:
        """Search as the API does, without facets."""
        result = await self._searcher.hybrid.search(
            SearchQuery(text, CatalogueFilter(tenant), limit=limit, facets=False)
        )
        return RankedAnswer(
            skus=tuple(str(hit.document.sku) for hit in result.hits),
            found_by={str(hit.document.sku): _ranks(hit) for hit in result.hits},
            raw_scores=_raw_scores(result.hits),
            low_confidence=_low_confidence(result),
            milliseconds=result.timings_ms,
            degraded=(*map(str, result.degraded), *_unread(result)),
        )

    def close(self) -> None:
        """End the searcher's threads."""
        self._searcher.close()


def _ranks(hit: Hit) -> Mapping[str, int]:
    return {str(signal.retriever): signal.rank for signal in hit.signals}


def _raw_scores(hits: Sequence[Hit]) -> Mapping[str, Mapping[int, float]]:
    scores: dict[str, dict[int, float]] = {}
    for hit in hits:
        for signal in hit.signals:
            scores.setdefault(str(signal.retriever), {})[signal.rank] = signal.raw_score
    return scores


def _low_confidence(result: SearchResult) -> bool | None:
    """What the answer says of itself; an answer that has no such flag says nothing."""
    flag = getattr(result, "low_confidence", None)
    return None if flag is None else bool(flag)


def _unread(result: SearchResult) -> tuple[str, ...]:
    """A reranker that did not read all that it was to read is told like a retriever that is missing."""
    reranked = result.trace.reranked if result.trace else None
    return ("rerank",) if reranked is not None and reranked.partial else ()
