"""Metrics of single queries, computed by ir_measures (trec_eval underneath), so that the figures are everybody's figures.

Grades reach trec_eval in two forms: as whole-numbered gains for nDCG, and as 0 or 1 for the metrics that know only
hits. Ranks are passed as falling scores, so that nothing depends on how ties are broken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ir_measures
from ir_measures import RR, R, Success, nDCG

from training.judgments.judged import JudgedQuery, JudgedSet
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
