"""Two runs over the same queries: differences of the means, whether they are chance, and the queries that made them.

An ablation compares the full run with a run without each stage. The stages are read off the settings: weight 0 switches a
retriever off, naming no model the reranker, its switch anything that has one. A new stage needs no change here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import ConfigurationError
from training.experiments.run import Run, run_system
from training.metrics import METRICS, NDCG_10, Judge, QueryScore
from training.resampling import PairedDifference, paired_difference
from training.systems.indexed_catalogue import IndexedCatalogue
from training.systems.port import SearchSystem
from training.systems.settings import EvaluationSettings, setting_values

_SAME: Final = 1e-9


@dataclass(frozen=True, slots=True)
class QueryChange:
    """A query whose nDCG differs between two runs."""

    before: QueryScore
    after: QueryScore

    @property
    def difference(self) -> float:
        """nDCG@10 after less before."""
        return self.after.values[NDCG_10] - self.before.values[NDCG_10]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changes from `before` to `after`; the changed queries go from the greatest loss to the greatest gain."""

    before: Run
    after: Run
    differences: Mapping[str, PairedDifference]
    changes: tuple[QueryChange, ...]


def compare(before: Run, after: Run) -> Comparison:
    """Compare two runs of the same judged queries.

    Raises:
        ConfigurationError: the runs are over different queries.
    """
    earlier = {score.query.id: score for score in before.scores}
    later = {score.query.id: score for score in after.scores}
    if earlier.keys() != later.keys():
        raise ConfigurationError(
            f"the runs {before.system!r} and {after.system!r} are over different queries and cannot be compared"
        )
    differences = {
        metric: paired_difference(
            [earlier[key].values[metric] for key in earlier], [later[key].values[metric] for key in earlier]
        )
        for metric in METRICS
    }
    changes = [QueryChange(earlier[key], later[key]) for key in earlier]
    changed = [change for change in changes if abs(change.difference) > _SAME]
    return Comparison(before, after, differences, tuple(sorted(changed, key=lambda change: change.difference)))


_WEIGHTS: Final = "search.weights."
_LISTING: Final = "search.weights.list"
"""What answers where there is no query text, so never in a judged set."""
_SPARSE: Final = "search.weights.sparse"
"""A retriever that is there only with a sparse encoder."""
_SEARCH: Final = "search."
_RERANKER: Final = "search.rerank.model"

OnProgress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class SearchStage:
    """A part of the search that can be switched off, and the settings that do it."""

    name: str
    off: Mapping[str, Any]


def stages(settings: EvaluationSettings) -> list[SearchStage]:
    """Every retriever that weighs something and every switch that is on. Listing takes no part in judged queries."""
    found = []
    missing = set() if settings.encoder.sparse.model else {_SPARSE}
    for name, value in setting_values(settings):
        if name.startswith(_WEIGHTS) and value and name not in {_LISTING, *missing}:
            found.append(SearchStage(f"retriever {name.removeprefix(_WEIGHTS)}", {name: 0.0}))
        elif name == _RERANKER and value:
            found.append(SearchStage("rerank", {name: ""}))
        elif name.startswith(_SEARCH) and value is True:
            found.append(SearchStage(name.removeprefix(_SEARCH), {name: False}))
    return found


async def ablate(
    full: Run,
    settings: EvaluationSettings,
    catalogue: IndexedCatalogue,
    judge: Judge,
    build: Callable[[EvaluationSettings, str], SearchSystem],
    on_progress: OnProgress,
) -> Sequence[Comparison]:
    """Run every stage's absence against the full run, the costliest absence first."""
    comparisons = []
    without = stages(settings)
    for number, stage in enumerate(without, start=1):
        system = build(settings.changed(stage.off), f"without {stage.name}")
        try:
            run = await run_system(system, catalogue, judge)
        finally:
            system.close()
        comparisons.append(compare(full, run))
        on_progress(number / len(without), stage.name)
    return sorted(comparisons, key=lambda comparison: comparison.differences["ndcg@10"].difference)
