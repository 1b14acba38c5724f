"""Everything that one evaluation found, as a value: what reports are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.documents import SearchDocument
from schemas.identity import SkuId, SkuKey
from training.experiments.compare import Comparison
from training.experiments.latency import Latency
from training.experiments.run import Run
from training.judgments.judged import JudgedQuery
from training.measures.metrics import METRICS
from training.measures.summary import summarise
from training.systems.bench import Bench


@dataclass(frozen=True, slots=True)
class Experiment:
    """A run on a bench, the comparisons with it and the times.

    `compared` has the baselines and other configurations as `before`, the run itself as `after`; `ablated` has the run
    as `before` and the run without a stage as `after`. `overrides` are the settings that differ from the defaults.
    """

    bench: Bench
    run: Run
    overrides: Mapping[str, Any]
    compared: Sequence[Comparison] = ()
    ablated: Sequence[Comparison] = ()
    latency: Latency | None = None

    def document(self, query: JudgedQuery, sku: str) -> SearchDocument | None:
        """A product of the catalogue that a query asks; None where a judged product is not in it."""
        return self.bench.documents.get(SkuKey(self.bench.tenant_of(query.tenant), SkuId(sku)))

    def as_json(self) -> dict[str, Any]:
        """The figures for programs: the run's own, then those of what it was compared with."""
        figures = summarise(self.run).as_json()
        figures |= {
            "judged": self.run.judged.name,
            "catalogue": self.bench.name,
            "products": len(self.bench.documents),
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
