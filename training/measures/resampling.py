"""How far figures are chance: bootstrap intervals of a mean, and the randomisation test of a paired difference.

Both resample queries, since queries are the sample: another day's buyers type others. Seeded, so a report repeats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

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
