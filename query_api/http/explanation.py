"""The trace of a search on the wire. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from retrieval.analysis.tokens import Token
from retrieval.search.planning.plan import QueryPlan
from retrieval.search.query import SearchTrace
from retrieval.search.ranking.reranking import Reranked
from retrieval.search.retrievers.fanout import RetrieverOutcome
from schemas.api.explain import (
    ExplainedAlias,
    ExplainedCorrection,
    ExplainedHit,
    ExplainedMove,
    ExplainedRerank,
    ExplainedRetriever,
    ExplainedToken,
    Explanation,
)

_HITS_SHOWN: Final = 10


def explanation(trace: SearchTrace, fusion: str) -> Explanation:
    """Every step, with the first hits of each retriever."""
    plan = trace.plan
    return Explanation(
        type=plan.type,
        searched=plan.core,
        tokens=tokens(plan.analysed.tokens),
        aliases=aliases(plan),
        corrections=corrections(plan),
        unknown=plan.unknown,
        excluded=excluded(plan),
        excluded_products=len(trace.excluded),
        dense_texts=plan.dense_texts,
        route=trace.decision.route,
        route_reason=trace.decision.reason,
        fusion=fusion,
        retrievers=tuple(_retriever(one, trace.weights.get(one.retriever, 1.0)) for one in trace.outcomes),
        fused=len(trace.fused),
        rerank=None if trace.reranked is None else _rerank(trace.reranked),
    )


def tokens(found: Iterable[Token]) -> tuple[ExplainedToken, ...]:
    """Tokens in order."""
    return tuple(ExplainedToken(text=one.text, kind=one.kind, position=one.position) for one in found)


def aliases(plan: QueryPlan) -> tuple[ExplainedAlias, ...]:
    """The entries that rewrote a part of the query."""
    return tuple(ExplainedAlias(typed=one.typed, entries=one.entries, targets=one.targets) for one in plan.aliases)


def corrections(plan: QueryPlan) -> tuple[ExplainedCorrection, ...]:
    """The words that were corrected."""
    return tuple(
        ExplainedCorrection(written=one.written, meant=one.text, cost=round(one.cost, 3)) for one in plan.corrections
    )


def excluded(plan: QueryPlan) -> tuple[str, ...]:
    """The words that are ruled out."""
    return tuple(exclusion.word for exclusion in plan.exclusions if not exclusion.asked)


def _rerank(reranked: Reranked) -> ExplainedRerank:
    return ExplainedRerank(
        model=reranked.revision.model,
        revision=reranked.revision.id,
        query=reranked.query,
        scored=reranked.scored,
        of=reranked.of,
        failed=reranked.failed,
        milliseconds=round(reranked.milliseconds, 3),
        moves=tuple(
            ExplainedMove(sku=key.sku, before=change.before, after=change.after, score=change.score)
            for key, change in reranked.changes.items()
        ),
    )


def _retriever(outcome: RetrieverOutcome, weight: float) -> ExplainedRetriever:
    return ExplainedRetriever(
        retriever=outcome.retriever,
        weight=weight,
        found=len(outcome.hits),
        milliseconds=round(outcome.milliseconds, 3),
        degraded=outcome.degraded,
        hits=tuple(
            ExplainedHit(sku=hit.key.sku, rank=rank, raw_score=hit.score)
            for rank, hit in enumerate(outcome.hits[:_HITS_SHOWN], start=1)
        ),
    )
