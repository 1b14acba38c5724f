"""Metrics of single queries, computed by ir_measures (trec_eval underneath), so that the figures are everybody's figures.

Failures are sorted by what would mend them: a relevant product that no retriever found, one that fusion lost, one ranked low.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import ir_measures
import numpy as np
from ir_measures import RR, R, Success, nDCG

from training.judgments import JudgedQuery, JudgedSet
from training.systems.port import RankedAnswer

NDCG_10: Final = "ndcg@10"
RECALL_10: Final = "recall@10"
RECALL_100: Final = "recall@100"
MRR: Final = "mrr"
TOP_1: Final = "top1"
TOP_5: Final = "top5"

METRICS: Final = (NDCG_10, RECALL_10, RECALL_100, MRR, TOP_1, TOP_5)

_GAIN_UNIT: Final = 1_000
"""trec_eval takes whole gains. nDCG is a ratio, so a common factor changes nothing but the rounding (under 0.1 %)."""

_BINARY: Final[Mapping[Any, str]] = {
    R @ 10: RECALL_10,
    R @ 100: RECALL_100,
    RR: MRR,
    Success @ 1: TOP_1,
    Success @ 5: TOP_5,
}
_GRADED: Final[Mapping[Any, str]] = {nDCG @ 10: NDCG_10}

DEPTH: Final = 100
"""How far a ranking is read."""


@dataclass(frozen=True, slots=True)
class QueryScore:
    """The metrics of one query, each from 0 to 1."""

    query: JudgedQuery
    values: Mapping[str, float]
    answer: RankedAnswer


class Judge:
    """Scores answers to the answerable queries of one judged set; made once, used for any number of runs.

    A hit is a product whose grade reaches the set's threshold. An answerable query of which no product does (its judges
    found only related ones) scores 0 everywhere but in nDCG, as in trec_eval.
    """

    def __init__(self, judged: JudgedSet) -> None:
        self.judged = judged
        self._answerable = judged.answerable
        whole = all(
            float(judged.gain.of(grade)).is_integer() for query in self._answerable for grade in query.grades.values()
        )
        unit = 1 if whole else _GAIN_UNIT
        gains = {
            query.id: {sku: round(judged.gain.of(grade) * unit) for sku, grade in query.grades.items()}
            for query in self._answerable
        }
        hits = {
            query.id: {sku: int(grade >= judged.relevant_from) for sku, grade in query.grades.items()}
            for query in self._answerable
        }
        self._graded = ir_measures.evaluator(list(_GRADED), gains)
        self._binary = ir_measures.evaluator(list(_BINARY), hits)

    def score(self, answers: Mapping[str, RankedAnswer]) -> tuple[QueryScore, ...]:
        """Scores in the order of the judged set; a query without an answer scores 0."""
        run = {
            identity: {sku: float(DEPTH - place) for place, sku in enumerate(answer.skus[:DEPTH])}
            for identity, answer in answers.items()
            if answer.skus
        }
        values: dict[str, dict[str, float]] = {query.id: dict.fromkeys(METRICS, 0.0) for query in self._answerable}
        for evaluator, names in ((self._graded, _GRADED), (self._binary, _BINARY)):
            for metric in evaluator.iter_calc(run):
                values[metric.query_id][names[metric.measure]] = float(metric.value)
        nothing = RankedAnswer(())
        return tuple(QueryScore(query, values[query.id], answers.get(query.id, nothing)) for query in self._answerable)


def mean(scores: Sequence[QueryScore], metric: str) -> float:
    """The mean of a metric over queries; 0 without queries."""
    return sum(score.values[metric] for score in scores) / len(scores) if scores else 0.0


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """`p50`, `p95` and `p99` of the values; empty without values."""
    if not values:
        return {}
    return {f"p{percent}": float(np.percentile(values, percent)) for percent in (50, 95, 99)}


_FIRST_PAGE: Final = 5


class Cause(StrEnum):
    """Where a query without a hit among its first five lost it."""

    EMPTY = "nothing found"
    """The answer was empty."""
    MISSED = "no hit retrieved"
    """No retriever had a hit: a matter of vocabulary, spelling or analysis."""
    LOST_IN_FUSION = "lost in fusion"
    """A retriever had a hit among its first five, and the fused list put it lower: a matter of weights."""
    RANKED_LOW = "ranked low"
    """Hits were retrieved, none of them near the top by anyone: a matter of reranking."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A query without a hit among its first five; `best_rank` is that of its first hit, None where there is none."""

    score: QueryScore
    cause: Cause
    best_rank: int | None
    best_sku: str | None


def failures(scores: Sequence[QueryScore], judged: JudgedSet) -> list[Failure]:
    """The failed queries, those with the hit nearest to the top first."""
    failed = [_diagnose(score, judged) for score in scores if score.values[TOP_5] == 0 and judged.relevant(score.query)]
    return sorted(failed, key=lambda failure: (failure.best_rank is None, failure.best_rank or 0))


def causes_by_type(found: Sequence[Failure]) -> Mapping[str, Counter[Cause]]:
    """How often each cause occurs, by type of query."""
    counted: dict[str, Counter[Cause]] = {}
    for failure in found:
        counted.setdefault(failure.score.query.type or "all", Counter())[failure.cause] += 1
    return counted


def _diagnose(score: QueryScore, judged: JudgedSet) -> Failure:
    relevant = judged.relevant(score.query)
    answer = score.answer
    rank, sku = next(((rank, sku) for rank, sku in enumerate(answer.skus, start=1) if sku in relevant), (None, None))
    if not answer.skus:
        cause = Cause.EMPTY
    elif rank is None:
        cause = Cause.MISSED
    elif any(
        min(answer.found_by[sku].values(), default=rank) <= _FIRST_PAGE for sku in relevant & set(answer.found_by)
    ):
        cause = Cause.LOST_IN_FUSION
    else:
        cause = Cause.RANKED_LOW
    return Failure(score, cause, rank, sku)
