"""Calibrating the embedding-first route: from which similarity and margin on the dense list may stand alone. Pure.

Every query was answered twice, by the full path and by the dense route. A pair of thresholds takes the dense answer for
the queries that reach both, so any pair is judged from the two tables without asking again. The best pair is the one
that saves most time while the share of queries with a hit among the first five falls by no more than the allowance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from training.resampling import Folds

Values = npt.NDArray[np.float64]

_QUANTILES: Final = tuple(np.linspace(0.0, 0.98, 50))
_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Observations:
    """Per query, float64 [queries]: what the dense retriever scored, and quality and time of both ways.

    `margin` is the best neighbour's similarity less that of the eleventh; a query with fewer neighbours has -inf and is
    never routed. `full_quality` and `dense_quality` are the share of first fives with a hit (0 or 1 a query), times in
    milliseconds.
    """

    similarity: Values
    margin: Values
    full_quality: Values
    dense_quality: Values
    full_ms: Values
    dense_ms: Values

    def subset(self, chosen: npt.NDArray[np.bool_]) -> Observations:
        """The observations of some queries."""
        return Observations(
            self.similarity[chosen],
            self.margin[chosen],
            self.full_quality[chosen],
            self.dense_quality[chosen],
            self.full_ms[chosen],
            self.dense_ms[chosen],
        )


@dataclass(frozen=True, slots=True)
class Thresholds:
    """A query takes the dense route where it reaches both."""

    similarity: float
    margin: float


@dataclass(frozen=True, slots=True)
class Effect:
    """What a pair of thresholds does: shares of queries, of time saved, and the change of the top-5 share."""

    routed: float
    saving: float
    quality_change: float


NOTHING: Final = Effect(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Calibration:
    """The thresholds to take, None where no pair keeps the quality and saves time.

    `fitted` is their effect on the queries that chose them, `held_out` that of the same procedure on queries it did not
    see. The route is only advised where it keeps the allowance, and saves time, held out too: the retrievers run side by
    side, so skipping one saves nothing unless it is the slowest.
    """

    thresholds: Thresholds | None
    fitted: Effect
    held_out: Effect
    frontier: Sequence[tuple[Thresholds, Effect]]
    """The pairs that no other pair beats in both saving and quality, by saving."""


def calibrate(observations: Observations, folds: Folds, allowance: float) -> Calibration:
    """Choose thresholds; `allowance` is the share by which top-5 may fall, 0.003 for 0.3 points."""
    pairs = _pairs(observations)
    routed = np.zeros(len(folds), np.bool_)
    for fold in sorted(set(folds.tolist())):
        inside = folds == fold
        pair = _best(observations.subset(~inside), pairs, allowance)
        if pair is not None:
            routed[inside] = _routed(observations.subset(inside), pair)
    held_out = _effect(observations, routed)
    pair = _best(observations, pairs, allowance)
    if held_out.quality_change < -allowance - _TOLERANCE or held_out.saving <= 0:
        pair = None
    fitted = _effect(observations, _routed(observations, pair)) if pair else NOTHING
    return Calibration(pair, fitted, held_out, _frontier(observations, pairs))


def _best(observations: Observations, pairs: Sequence[Thresholds], allowance: float) -> Thresholds | None:
    """The pair that saves most within the allowance; of equal ones the stricter."""
    kept = []
    for pair in pairs:
        effect = _effect(observations, _routed(observations, pair))
        if effect.routed > 0 and effect.saving > 0 and effect.quality_change >= -allowance - _TOLERANCE:
            kept.append((effect.saving, pair.similarity, pair.margin, pair))
    return max(kept, key=lambda entry: entry[:3])[3] if kept else None


def _pairs(observations: Observations) -> list[Thresholds]:
    """Candidates at quantiles of what was observed."""
    finite = observations.margin[np.isfinite(observations.margin)]
    if not len(finite):
        return []
    similarities = np.unique(np.quantile(observations.similarity, _QUANTILES).round(4))
    margins = np.unique(np.append(np.quantile(finite, _QUANTILES[::3]).round(4), 0.0))
    return [Thresholds(float(similarity), float(margin)) for similarity in similarities for margin in margins]


def _routed(observations: Observations, pair: Thresholds) -> npt.NDArray[np.bool_]:
    return (observations.similarity >= pair.similarity) & (observations.margin >= pair.margin)


def _effect(observations: Observations, routed: npt.NDArray[np.bool_]) -> Effect:
    if not routed.any():
        return NOTHING
    whole = float(observations.full_ms.sum())
    saved = float((observations.full_ms - observations.dense_ms)[routed].sum())
    change = np.where(routed, observations.dense_quality - observations.full_quality, 0.0)
    return Effect(float(routed.mean()), saved / whole if whole else 0.0, float(change.mean()))


def _frontier(observations: Observations, pairs: Sequence[Thresholds]) -> list[tuple[Thresholds, Effect]]:
    effects = [(pair, _effect(observations, _routed(observations, pair))) for pair in pairs]
    effects.sort(key=lambda entry: (-entry[1].saving, -entry[1].quality_change))
    frontier: list[tuple[Thresholds, Effect]] = []
    for pair, effect in effects:
        if effect.routed > 0 and (not frontier or effect.quality_change > frontier[-1][1].quality_change + _TOLERANCE):
            frontier.append((pair, effect))
    return frontier
