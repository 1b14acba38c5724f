"""Observing the routes: every query through the full path, code first, and the dense route, with real times."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from training.experiments.run import Run, run_system
from training.judgments import JudgedSet
from training.metrics import TOP_1, TOP_5, Judge, mean
from training.systems.hybrid import HybridSystem
from training.systems.indexed_catalogue import IndexedCatalogue
from training.systems.settings import EvaluationSettings
from training.tuning.calibration import Observations

OnProgress = Callable[[float, str], None]

CODE_FIRST: Final = "search.routing.code_first"
DENSE_FIRST: Final = "search.routing.dense_first"
SIMILARITY: Final = "search.routing.dense_similarity"
MARGIN: Final = "search.routing.dense_margin"

_FULL_PATH: Final[Mapping[str, Any]] = {CODE_FIRST: False, DENSE_FIRST: False}
_CODE_ROUTE: Final[Mapping[str, Any]] = {CODE_FIRST: True, DENSE_FIRST: False}
_DENSE_ROUTE: Final[Mapping[str, Any]] = {CODE_FIRST: True, DENSE_FIRST: True, SIMILARITY: -1.0, MARGIN: 0.0}
"""Thresholds that every query reaches."""

_DENSE: Final = "dense"
_WHOLE: Final = "total"
_MARGIN_RANK: Final = 11
_SEED: Final = 20_809


@dataclass(frozen=True, slots=True)
class CodeEffect:
    """What answering codes by their lookup alone does, against the full path."""

    routed: float
    saving: float
    top1_change: float
    top5_change: float


@dataclass(frozen=True, slots=True)
class RouteObservations:
    """Both routes, against the full path; the dense route is observed behind the code route."""

    code: CodeEffect
    dense: Observations
    code_run: Run


async def observe_routes(
    catalogue: IndexedCatalogue,
    judged: JudgedSet,
    settings: EvaluationSettings,
    *,
    sample: int,
    on_progress: OnProgress,
) -> RouteObservations:
    """Ask up to `sample` answerable queries three times, encoding each anew, so that the times are a buyer's.

    Raises:
        ConfigurationError: the search has no such routes.
    """
    judge = Judge(_sampled(judged, sample))
    runs = []
    for number, overrides in enumerate((_FULL_PATH, _CODE_ROUTE, _DENSE_ROUTE), start=1):
        # The reader's answers are not remembered here: their time is what a route saves.
        system = HybridSystem.over(catalogue, settings.changed(overrides), encoder=catalogue.encoder.uncached)
        try:
            runs.append(await run_system(system, catalogue, judge))
        finally:
            system.close()
        on_progress(number / 3, f"{number} of 3 routes")
    full, code, dense = runs
    return RouteObservations(_code_effect(full, code), _observations(code, dense), code)


def _sampled(judged: JudgedSet, sample: int) -> JudgedSet:
    answerable = list(judged.answerable)
    if len(answerable) > sample:
        answerable = random.Random(_SEED).sample(answerable, sample)  # noqa: S311 - a sample, no secret
    return JudgedSet(judged.name, tuple(answerable), judged.gain, judged.relevant_from)


def _code_effect(full: Run, code: Run) -> CodeEffect:
    skipped = [_DENSE not in score.answer.milliseconds for score in code.scores]
    whole = sum(score.answer.milliseconds[_WHOLE] for score in full.scores)
    saved = sum(
        before.answer.milliseconds[_WHOLE] - after.answer.milliseconds[_WHOLE]
        for before, after, routed in zip(full.scores, code.scores, skipped, strict=True)
        if routed
    )
    return CodeEffect(
        routed=sum(skipped) / max(1, len(skipped)),
        saving=saved / whole if whole else 0.0,
        top1_change=mean(code.scores, TOP_1) - mean(full.scores, TOP_1),
        top5_change=mean(code.scores, TOP_5) - mean(full.scores, TOP_5),
    )


def _observations(code: Run, dense: Run) -> Observations:
    similarity, margin = [], []
    for score in dense.scores:
        ranked = score.answer.raw_scores.get(_DENSE, {})
        best, eleventh = ranked.get(1), ranked.get(_MARGIN_RANK)
        if best is None or eleventh is None:
            # The code route answered, or there are too few neighbours: the thresholds have nothing to decide.
            best, eleventh = -1.0, math.inf
        similarity.append(best)
        margin.append(best - eleventh)
    return Observations(
        similarity=np.array(similarity, np.float64),
        margin=np.array(margin, np.float64),
        full_quality=_column(code, TOP_5),
        dense_quality=_column(dense, TOP_5),
        full_ms=np.array([score.answer.milliseconds[_WHOLE] for score in code.scores]),
        dense_ms=np.array([score.answer.milliseconds[_WHOLE] for score in dense.scores]),
    )


def _column(run: Run, metric: str) -> Any:
    return np.array([score.values[metric] for score in run.scores], np.float64)
