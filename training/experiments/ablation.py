"""The ablation table: what each stage is worth, told by the figures without it.

The stages are read off the settings: a retriever is switched off by weight 0, reranking by naming no model, anything with a switch by that switch. A stage that is added to the search is in the table without a word here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from training.experiments.compare import Comparison, compare
from training.experiments.run import Run, run_system
from training.measures.metrics import Judge
from training.systems.bench import Bench
from training.systems.port import SearchSystem
from training.systems.settings import LabSettings, setting_values

_WEIGHTS: Final = "search.weights."
_LISTING: Final = "search.weights.list"
"""What answers where there is no query text, so never in a judged set."""
_SPARSE: Final = "search.weights.sparse"
"""A retriever that is there only with a sparse encoder."""
_SEARCH: Final = "search."
_RERANKER: Final = "search.rerank.model"

OnProgress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of the search that can be switched off, and the settings that do it."""

    name: str
    off: Mapping[str, Any]


def stages(settings: LabSettings) -> list[Stage]:
    """Every retriever that weighs something and every switch that is on. Listing takes no part in judged queries."""
    found = []
    missing = set() if settings.encoder.sparse.model else {_SPARSE}
    for name, value in setting_values(settings):
        if name.startswith(_WEIGHTS) and value and name not in {_LISTING, *missing}:
            found.append(Stage(f"retriever {name.removeprefix(_WEIGHTS)}", {name: 0.0}))
        elif name == _RERANKER and value:
            found.append(Stage("rerank", {name: ""}))
        elif name.startswith(_SEARCH) and value is True:
            found.append(Stage(name.removeprefix(_SEARCH), {name: False}))
    return found


async def ablate(
    full: Run,
    settings: LabSettings,
    bench: Bench,
    judge: Judge,
    build: Callable[[LabSettings, str], SearchSystem],
    on_progress: OnProgress,
) -> Sequence[Comparison]:
    """Run every stage's absence against the full run, the costliest absence first."""
    comparisons = []
    without = stages(settings)
    for number, stage in enumerate(without, start=1):
        system = build(settings.changed(stage.off), f"without {stage.name}")
        try:
            run = await run_system(system, bench, judge)
        finally:
            system.close()
        comparisons.append(compare(full, run))
        on_progress(number / len(without), stage.name)
    return sorted(comparisons, key=lambda comparison: comparison.differences["ndcg@10"].difference)
