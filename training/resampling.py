"""Resampling: bootstrap intervals, the randomisation test of a paired difference, and choosing by cross-validation. Pure.

Cross-validation chooses one of many configurations from a table of scores by configuration and query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

_SEED: Final = 20_809
_BOOTSTRAPS: Final = 2_000
_PERMUTATIONS: Final = 10_000
_CHUNK_CELLS: Final = 20_000_000
"""Random numbers drawn at once: bounds the memory where there are thousands of queries."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Of two systems over the same queries: mean difference (second less first), its interval, and the p-value.

    `better` and `worse` count the queries on which the second system gained or lost.
    """

    difference: float
    interval: Interval
    p_value: float
    better: int
    worse: int


def bootstrap_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """The percentile bootstrap interval of the mean (Efron, *Bootstrap methods*, 1979); of no values, nothing to nothing."""
    sample = np.asarray(values, np.float64)
    if not len(sample):
        return Interval(0.0, 0.0)
    rng = np.random.default_rng(_SEED)
    means: list[float] = []
    rounds = max(1, min(_BOOTSTRAPS, _CHUNK_CELLS // len(sample)))
    while len(means) < _BOOTSTRAPS:
        drawn = rng.integers(0, len(sample), (min(rounds, _BOOTSTRAPS - len(means)), len(sample)))
        means.extend(sample[drawn].mean(axis=1))
    tail = (1 - level) / 2
    low, high = np.quantile(means, (tail, 1 - tail))
    return Interval(float(low), float(high))


def paired_difference(first: Sequence[float], second: Sequence[float]) -> PairedDifference:
    """Compare two systems query by query.

    The p-value is two-sided, of Fisher's randomisation test with random signs (Smucker, Allan and Carterette, *A
    comparison of statistical significance tests for information retrieval evaluation*, CIKM 2007), with the observed
    assignment counted among the permutations, so it is never 0.

    Raises:
        ValueError: the two are not over the same number of queries.
    """
    if len(first) != len(second):
        raise ValueError("a paired comparison needs the same queries on both sides")
    differences = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    if not len(differences):
        return PairedDifference(0.0, Interval(0.0, 0.0), 1.0, 0, 0)
    observed = abs(differences.sum())
    changed = differences[differences != 0]  # a query on which both are equal says nothing
    as_extreme = _as_extreme(changed, observed)
    return PairedDifference(
        difference=float(differences.mean()),
        interval=bootstrap_interval(differences.tolist()),
        p_value=(as_extreme + 1) / (_PERMUTATIONS + 1),
        better=int((differences > 0).sum()),
        worse=int((differences < 0).sum()),
    )


def _as_extreme(changed: np.ndarray, observed: float) -> int:
    """How many of the random sign assignments reach the observed sum."""
    if not len(changed):
        return _PERMUTATIONS
    rng = np.random.default_rng(_SEED)
    rounds = max(1, min(_PERMUTATIONS, _CHUNK_CELLS // len(changed)))
    tolerance = 1e-12 * max(1.0, observed)
    reached = done = 0
    while done < _PERMUTATIONS:
        count = min(rounds, _PERMUTATIONS - done)
        signs = rng.integers(0, 2, (count, len(changed)), np.int8) * 2 - 1
        reached += int((np.abs(signs @ changed) >= observed - tolerance).sum())
        done += count
    return reached


Scores = npt.NDArray[np.float64]
"""float64 [configurations, queries], the objective of each query; row 0 is the configuration as shipped."""
Folds = npt.NDArray[np.int64]
"""int64 [queries], the fold that holds each query out."""


_ERRORS: Final = 2.0


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What the choice is worth on queries that it did not see.

    `held_out` has, for every query, the objective under the configuration chosen without its fold; `by_fold` those
    choices, as rows of the table; `chosen` the choice over all queries.
    """

    held_out: npt.NDArray[np.float64]
    by_fold: tuple[int, ...]
    chosen: int


def cross_validate(scores: Scores, folds: Folds, changes: Sequence[int]) -> CrossValidation:
    """Choose on all but one fold, look at that fold, for every fold; then choose on all. `changes`: see `choose`."""
    held_out = np.empty(scores.shape[1])
    by_fold = []
    for fold in sorted(set(folds.tolist())):
        outside = folds != fold
        row = choose(scores[:, outside], changes)
        held_out[~outside] = scores[row, ~outside]
        by_fold.append(row)
    return CrossValidation(held_out, tuple(by_fold), choose(scores, changes))


def choose(scores: Scores, changes: Sequence[int]) -> int:
    """The row to take: of those within two standard errors of the best, the one that changes the fewest settings.

    After the one-standard-error rule (Breiman et al., *Classification and regression trees*, 1984), on paired
    differences and stricter, since one query alone is more than one error: what cannot be told from the best on these
    queries is not worth departing from the shipped settings for. `changes` counts the settings that each row changes.
    Ties go to the higher mean, then to the earlier row.
    """
    means = scores.mean(axis=1)
    best = int(means.argmax())
    gaps = scores[best] - scores
    errors = gaps.std(axis=1) / np.sqrt(scores.shape[1])
    eligible = [int(row) for row in np.flatnonzero(gaps.mean(axis=1) <= _ERRORS * errors + 1e-12)]
    return min(eligible, key=lambda row: (changes[row], -means[row], row))


def stratified_folds(strata: Sequence[str], count: int, seed: int) -> Folds:
    """Deal queries out to folds, stratum by stratum in random order, so that every fold has its share of each.

    Raises:
        ValueError: there are fewer queries than folds, or fewer than two folds.
    """
    if not 2 <= count <= len(strata):
        raise ValueError(f"{len(strata)} queries cannot be dealt out to {count} folds")
    rng = np.random.default_rng(seed)
    folds = np.empty(len(strata), np.int64)
    dealt = 0
    for stratum in sorted(set(strata)):
        members = np.flatnonzero([each == stratum for each in strata])
        for member in rng.permutation(members):
            folds[member] = dealt % count
            dealt += 1
    return folds
