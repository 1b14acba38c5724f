"""The trace of one search: what each step did, kept for those who ask why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.search.planning.plan import QueryPlan
from retrieval.search.ranking.fusion import FusedCandidate
from retrieval.search.ranking.reranking import Reranked
from retrieval.search.ranking.routing import Decision
from retrieval.search.retrievers.fanout import RetrieverOutcome
from schemas.api.retrievers import RetrieverName
from schemas.identity import SkuKey


@dataclass(frozen=True, slots=True)
class SearchTrace:
    """The plan, every retriever's outcome, the fused list before the replica's check, and what was taken out of it.

    `excluded` are candidates that hold what the query rules out; `reranked` is None where no reranker had anything to do.
    """

    plan: QueryPlan
    decision: Decision
    outcomes: Sequence[RetrieverOutcome]
    weights: dict[RetrieverName, float]
    fused: Sequence[FusedCandidate]
    excluded: frozenset[SkuKey]
    reranked: Reranked | None = None
