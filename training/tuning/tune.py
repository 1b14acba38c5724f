"""Tuning: every configuration over every query once, then a choice whose worth is told by held-out queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from training.experiments.run import Run, run_system
from training.metrics import METRICS, Judge
from training.resampling import CrossValidation, PairedDifference, cross_validate, paired_difference, stratified_folds
from training.systems.hybrid import HybridSystem
from training.systems.indexed_catalogue import IndexedCatalogue
from training.systems.settings import EvaluationSettings, setting_values
from training.tuning.space import Overrides

OnProgress = Callable[[float, str], None]

_SEED: Final = 20_809


@dataclass(frozen=True, slots=True)
class TuningResult:
    """The choice and what speaks for it.

    `shipped`, `held_out` and `fitted` are means by metric: of the settings as they were, of the choices on queries that
    they did not see, and of the final choice on all queries (an upper bound, since it chose with them). `gain` compares
    the objective held out with the settings as they were, query by query.
    """

    configurations: Sequence[Overrides]
    objective: Sequence[str]
    validation: CrossValidation
    shipped: Mapping[str, float]
    held_out: Mapping[str, float]
    fitted: Mapping[str, float]
    gain: PairedDifference
    leaders: Sequence[tuple[Overrides, float]]

    @property
    def chosen(self) -> Overrides:
        """The settings to take; empty where nothing is clearly better than what there is."""
        return self.configurations[self.validation.chosen]


async def tune(
    catalogue: IndexedCatalogue,
    judge: Judge,
    settings: EvaluationSettings,
    tried: Sequence[Overrides],
    *,
    objective: Sequence[str],
    folds: int,
    on_progress: OnProgress,
    leaders: int = 10,
) -> TuningResult:
    """Measure the configurations (the first changes nothing) and choose by cross-validation over the queries.

    `objective` names metrics, whose mean is maximised. The catalogue's answers are remembered, so a configuration that
    changes only how lists are put together costs a millisecond a query.

    Raises:
        ConfigurationError: a configuration is not valid.
        ValueError: there are fewer queries than folds.
    """
    remembering = catalogue.remembering()
    configured = [settings.changed(overrides) for overrides in tried]  # all are checked before the first is run
    table = np.empty((len(tried), len(METRICS), 0))
    rows = []
    for number, each in enumerate(configured, start=1):
        run = await _run(remembering, judge, each)
        rows.append([[score.values[metric] for score in run.scores] for metric in METRICS])
        on_progress(number / len(tried), f"{number} of {len(tried)} configurations")
    table = np.array(rows, np.float64)
    scores = table[:, [METRICS.index(metric) for metric in objective], :].mean(axis=1)
    strata = [score.query.type or score.query.tenant for score in run.scores]
    dealt = stratified_folds(strata, folds, _SEED)
    baseline = dict(setting_values(settings))
    changes = [sum(value != baseline.get(name) for name, value in overrides.items()) for overrides in tried]
    validation = cross_validate(scores, dealt, changes)
    ordered = sorted(range(len(tried)), key=lambda row: -scores[row].mean())[:leaders]
    return TuningResult(
        configurations=tried,
        objective=objective,
        validation=validation,
        shipped=_means(table[0]),
        held_out=_means(_held_out(table, dealt, validation)),
        fitted=_means(table[validation.chosen]),
        gain=paired_difference(scores[0].tolist(), validation.held_out.tolist()),
        leaders=[(tried[row], float(scores[row].mean())) for row in ordered],
    )


async def _run(catalogue: IndexedCatalogue, judge: Judge, settings: EvaluationSettings) -> Run:
    system = HybridSystem.over(catalogue, settings)
    try:
        return await run_system(system, catalogue, judge)
    finally:
        system.close()


def _held_out(table: Any, folds: Any, validation: CrossValidation) -> Any:
    """Every metric of every query under the configuration that was chosen without it: [metrics, queries]."""
    held_out = np.empty(table.shape[1:])
    for fold, row in enumerate(validation.by_fold):
        held_out[:, folds == fold] = table[row][:, folds == fold]
    return held_out


def _means(values: Any) -> dict[str, float]:
    return {metric: float(values[place].mean()) for place, metric in enumerate(METRICS)}
