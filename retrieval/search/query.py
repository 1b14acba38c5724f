"""The values at the two ends of a search: what is asked, and what is answered, with the trace of what each step did."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from retrieval.filters import CatalogueFilter
from retrieval.search.planning.plan import QueryPlan
from retrieval.search.ranking.confidence import RouteDecision
from retrieval.search.ranking.fusion import Contribution, FusedCandidate
from retrieval.search.ranking.reranking import RankChange, Reranked
from retrieval.search.retrievers.fanout import DegradedReason, RetrieverOutcome
from schemas.api.explain import RetrieverName
from schemas.catalogue import completed, counts_of
from schemas.documents import SearchDocument
from schemas.identity import SkuKey


@dataclass(frozen=True, slots=True)
class SearchTrace:
    """The plan, every retriever's outcome, the fused list before the replica's check, and what was taken out of it.

    `excluded` are candidates that hold what the query rules out; `reranked` is None where no reranker had anything to do.
    """

    plan: QueryPlan
    decision: RouteDecision
    outcomes: Sequence[RetrieverOutcome]
    weights: dict[RetrieverName, float]
    fused: Sequence[FusedCandidate]
    excluded: frozenset[SkuKey]
    reranked: Reranked | None = None


class Stopwatch:
    """Starts when it is made; `lap` closes a stage under its name."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """What has passed since the last lap belongs to this stage."""
        now = time.perf_counter()
        self.laps[stage] = _milliseconds(self._last, now)
        self._last = now

    def skip(self) -> None:
        """What has passed since the last lap belongs to no stage."""
        self._last = time.perf_counter()

    def total(self) -> float:
        """All that has passed."""
        return _milliseconds(self._started, time.perf_counter())


def _milliseconds(start: float, end: float) -> float:
    return round((end - start) * 1000, 3)


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """One search. Text that is empty or blank lists what meets the filter.

    `limit` and `offset` cut a page out of the fused candidates, whose number the retrievers' depths bound.
    """

    text: str
    catalogue_filter: CatalogueFilter
    limit: int = 20
    offset: int = 0
    facets: bool = True


@dataclass(frozen=True, slots=True)
class Hit:
    """A product of the page: the stored document, the fused score, each retriever's part in it, and what reranking changed."""

    document: SearchDocument
    score: float
    signals: tuple[Contribution, ...]
    rerank: RankChange | None = None


class ValueCounted(NamedTuple):
    """A value as most products write it, and how many candidates have it."""

    value: str
    count: int  # type: ignore[assignment] # tuple has a method of this name, which nothing calls


@dataclass(frozen=True, slots=True)
class PriceRange:
    """How many candidates cost at least `low` and less than `high`; `high` is None for the open last range."""

    low: float
    high: float | None
    count: int


@completed(counts_of(ValueCounted, PriceRange))
class Facets(BaseModel):
    """Counts over exactly the candidates of one answer, after all filters."""

    model_config = ConfigDict(frozen=True)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The answer.

    `total` counts the candidates that live and meet the filter in the text replica; `truncated` says that a retriever
    reached its depth, so that there may be more. `timings_ms` has milliseconds by stage: `analyse`, one per retriever
    that ran (side by side), `fuse`, `rerank` where it ran, `hydrate`, `facets` and `total`. `low_confidence` says why the catalogue probably cannot
    answer (None: it can); `trace` keeps every step.
    """

    hits: tuple[Hit, ...]
    total: int
    truncated: bool
    facets: Facets | None
    degraded: Mapping[RetrieverName, DegradedReason] = field(default_factory=dict)
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    low_confidence: str | None = None
    trace: SearchTrace | None = None

    def log_fields(self) -> dict[str, object]:
        """The answer as fields of a canonical log line; nothing of the query itself."""
        return {
            "hits": len(self.hits),
            "total": self.total,
            "truncated": self.truncated,
            "top_sku": self.hits[0].document.sku if self.hits else None,
            "top_retrievers": [str(signal.retriever) for signal in self.hits[0].signals] if self.hits else [],
            "type": str(self.trace.plan.type) if self.trace else None,
            "route": str(self.trace.decision.route) if self.trace else None,
            "low_confidence": self.low_confidence,
            **_rerank_fields(self.trace),
            "degraded": {str(name): str(reason) for name, reason in self.degraded.items()},
            **{f"{stage}_ms": milliseconds for stage, milliseconds in self.timings_ms.items()},
        }


def _rerank_fields(trace: SearchTrace | None) -> dict[str, object]:
    reranked = trace.reranked if trace else None
    return {} if reranked is None else {"reranked": reranked.scored, "rerank_of": reranked.of}
