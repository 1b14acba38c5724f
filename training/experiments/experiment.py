"""Everything that one evaluation found, as a value: what reports are written from.

A summary has the means of a run with confidence intervals: over all queries, by type and by tenant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.documents import SearchDocument
from schemas.identity import SkuId, SkuKey
from training.experiments.comparison import Comparison
from training.experiments.run import Latency, Run
from training.judgments import JudgedQuery
from training.metrics import METRICS, QueryScore, mean, percentiles
from training.resampling import Interval, bootstrap_interval
from training.systems.indexed_catalogue import IndexedCatalogue


@dataclass(frozen=True, slots=True)
class Experiment:
    """A run on a catalogue, the comparisons with it and the times.

    `compared` has the baselines and other configurations as `before`, the run itself as `after`; `ablated` has the run
    as `before` and the run without a stage as `after`. `overrides` are the settings that differ from the defaults.
    """

    catalogue: IndexedCatalogue
    run: Run
    overrides: Mapping[str, Any]
    compared: Sequence[Comparison] = ()
    ablated: Sequence[Comparison] = ()
    latency: Latency | None = None

    def document(self, query: JudgedQuery, sku: str) -> SearchDocument | None:
        """A product of the catalogue that a query asks; None where a judged product is not in it."""
        return self.catalogue.documents.get(SkuKey(self.catalogue.tenant_of(query.tenant), SkuId(sku)))

    def as_json(self) -> dict[str, Any]:
        """The figures for programs: the run's own, then those of what it was compared with."""
        figures = summarise(self.run).as_json()
        figures |= {
            "judged": self.run.judged.name,
            "catalogue": self.catalogue.name,
            "products": len(self.catalogue.documents),
            "gain": str(self.run.judged.gain.kind),
            "relevant_from": self.run.judged.relevant_from,
            "overrides": dict(self.overrides),
        }
        if self.latency is not None:
            figures["latency_ms"] = {
                stage: {name: round(value, 2) for name, value in figures_of.items()}
                for stage, figures_of in self.latency.stages.items()
            }
        if self.compared:
            figures["compared"] = {each.before.system: _differences(each, each.before) for each in self.compared}
        if self.ablated:
            figures["ablation"] = {each.after.system: _differences(each, each.after) for each in self.ablated}
        return figures


def _differences(comparison: Comparison, other: Run) -> dict[str, Any]:
    means = summarise(other).overall.means
    return {
        metric: {
            "mean": round(means[metric], 5),
            "difference": round(comparison.differences[metric].difference, 5),
            "p": round(comparison.differences[metric].p_value, 5),
        }
        for metric in METRICS
    }


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """Means over one group of answerable queries, shares from 0 to 1."""

    queries: int
    means: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run's figures.

    `no_result_accuracy` is the share of unanswerable queries whose answer was flagged as of low confidence, or empty;
    None where there are none. `false_doubts` is the share of answerable queries that were flagged although a hit stood
    first. `milliseconds` has percentiles of the total time by name.
    """

    system: str
    overall: GroupSummary
    intervals: Mapping[str, Interval]
    by_type: Mapping[str, GroupSummary]
    by_tenant: Mapping[str, GroupSummary]
    zero_results: float
    no_result_queries: int
    no_result_accuracy: float | None
    false_doubts: float
    milliseconds: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """The figures for programs; `queries` counts the answerable ones."""
        return {
            "system": self.system,
            "queries": self.overall.queries,
            **_rounded(self.overall.means),
            "zero_result_rate": round(self.zero_results, 5),
            "no_result_queries": self.no_result_queries,
            "no_result_accuracy": None if self.no_result_accuracy is None else round(self.no_result_accuracy, 5),
            "false_doubts": round(self.false_doubts, 5),
            "intervals": {
                name: [round(interval.low, 5), round(interval.high, 5)] for name, interval in self.intervals.items()
            },
            "by_type": {
                name: {"queries": group.queries, **_rounded(group.means)} for name, group in self.by_type.items()
            },
            "by_tenant": {
                name: {"queries": group.queries, **_rounded(group.means)} for name, group in self.by_tenant.items()
            },
            "latency_ms": {name: round(value, 2) for name, value in self.milliseconds.items()},
        }


def summarise(run: Run) -> RunSummary:
    """All figures of a run."""
    answers = run.answers
    unanswerable = [query for query in run.judged.queries if query.expects_nothing]
    admitted = sum(_admits_nothing(run, query.id) for query in unanswerable)
    doubted = sum(bool(score.answer.low_confidence) and score.values["top1"] > 0 for score in run.scores)
    return RunSummary(
        system=run.system,
        overall=_group(run.scores),
        intervals={metric: bootstrap_interval([score.values[metric] for score in run.scores]) for metric in METRICS},
        by_type=_groups(run.scores, lambda score: score.query.type),
        by_tenant=_groups(run.scores, lambda score: score.query.tenant),
        zero_results=sum(not score.answer.skus for score in run.scores) / max(1, len(run.scores)),
        no_result_queries=len(unanswerable),
        no_result_accuracy=admitted / len(unanswerable) if unanswerable else None,
        false_doubts=doubted / max(1, len(run.scores)),
        milliseconds=percentiles([answer.milliseconds.get("total", 0.0) for answer in answers.values()]),
    )


def _admits_nothing(run: Run, query_id: str) -> bool:
    answer = run.answers[query_id]
    return bool(answer.low_confidence) or not answer.skus


def _groups(scores: Sequence[QueryScore], of: Callable[[QueryScore], str]) -> dict[str, GroupSummary]:
    grouped: dict[str, list[QueryScore]] = {}
    for score in scores:
        if of(score):
            grouped.setdefault(of(score), []).append(score)
    return {name: _group(grouped[name]) for name in sorted(grouped)}


def _group(scores: Sequence[QueryScore]) -> GroupSummary:
    return GroupSummary(len(scores), {metric: mean(scores, metric) for metric in METRICS})


def _rounded(means: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in means.items()}
