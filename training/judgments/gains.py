"""Gains: what a judged grade is worth in nDCG, by the kind of scale that the judges used."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_LOWEST_MEAN: Final = 1.0


class GainKind(StrEnum):
    """How a grade becomes a gain."""

    AUTO = "auto"
    """`mean-rating` where grades are fractions from 1 on (a mean of raters), else `linear`."""
    LINEAR = "linear"
    """The grade itself, as trec_eval has it."""
    EXPONENTIAL = "exponential"
    """2^grade - 1 (Burges et al., *Learning to rank using gradient descent*, ICML 2005)."""
    MEAN_RATING = "mean-rating"
    """2^(grade-1) - 1, for ratings that begin at 1, where 1 means irrelevant."""


_FORMULAS: Final[dict[GainKind, Callable[[float], float]]] = {
    GainKind.LINEAR: lambda grade: grade,
    GainKind.EXPONENTIAL: lambda grade: 2.0**grade - 1.0,
    GainKind.MEAN_RATING: lambda grade: 2.0 ** (grade - 1.0) - 1.0,
}


@dataclass(frozen=True, slots=True)
class Gain:
    """One of the formulas; never negative."""

    kind: GainKind

    def of(self, grade: float) -> float:
        """The gain of a grade."""
        return max(0.0, _FORMULAS[self.kind](grade))


def gain_for(kind: GainKind, grades: Collection[float]) -> Gain:
    """The gain of this kind; `auto` looks at the grades of the whole judged set."""
    if kind is not GainKind.AUTO:
        return Gain(kind)
    mean_of_raters = (
        bool(grades) and min(grades) >= _LOWEST_MEAN and any(not float(grade).is_integer() for grade in grades)
    )
    return Gain(GainKind.MEAN_RATING if mean_of_raters else GainKind.LINEAR)
