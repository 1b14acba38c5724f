"""A judged set: queries, each with graded products, and how grades are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from training.judgments.gains import Gain

NO_RESULT_TYPE: Final = "no_result"
"""Queries of this type have no answer in the catalogue; a good system says so."""

_FULL_SCALE: Final = 3.0
_RELEVANT_ON_FULL_SCALE: Final = 2.0


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """One query and its judgments: sku to grade, larger is better, 0 is irrelevant. `tenant` empty: the only one."""

    id: str
    text: str
    grades: Mapping[str, float]
    tenant: str = ""
    type: str = ""
    intent: str = ""

    @property
    def is_answerable(self) -> bool:
        """Whether the judges found anything at all; the others ask for what the catalogue does not have."""
        return self.type != NO_RESULT_TYPE and bool(self.grades)


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """Queries with the reading of their grades.

    A product counts as a hit from the grade `relevant_from` on; `gain` turns a grade into the gain of nDCG.
    """

    name: str
    queries: tuple[JudgedQuery, ...]
    gain: Gain
    relevant_from: float

    def relevant(self, query: JudgedQuery) -> frozenset[str]:
        """The SKUs that count as hits of a query."""
        return frozenset(sku for sku, grade in query.grades.items() if grade >= self.relevant_from)


def relevance_threshold(grades: Iterable[float]) -> float:
    """The grade from which a product is a hit: 2 where grades go to 3, else any grade above 0."""
    highest = max(grades, default=0.0)
    return _RELEVANT_ON_FULL_SCALE if highest >= _FULL_SCALE else min(1.0, highest) or 1.0
