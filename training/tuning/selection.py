"""Choosing one of many configurations by cross-validation: pure, over a table of scores by configuration and query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

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
