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
    def expects_nothing(self) -> bool:
        """Whether the catalogue has no answer, so that a good system says so."""
        return self.type == NO_RESULT_TYPE or not self.grades


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """Queries with the reading of their grades.

    A product counts as a hit from the grade `relevant_from` on; `gain` turns a grade into the gain of nDCG.
    """

    name: str
    queries: tuple[JudgedQuery, ...]
    gain: Gain
    relevant_from: float

    @property
    def answerable(self) -> tuple[JudgedQuery, ...]:
        """The queries that metrics are means over: those with a product of some gain.

        Where judges saw products and found none of any worth, a good one may be among those they did not see: such a
        query says nothing of a system and is left out, as is usual.
        """
        return tuple(
            query
            for query in self.queries
            if not query.expects_nothing and any(self.gain.of(grade) > 0 for grade in query.grades.values())
        )

    def relevant(self, query: JudgedQuery) -> frozenset[str]:
        """The SKUs that count as hits of a query."""
        return frozenset(sku for sku, grade in query.grades.items() if grade >= self.relevant_from)


def relevance_threshold(grades: Iterable[float]) -> float:
    """The grade from which a product is a hit: 2 where grades go to 3, else any grade above 0."""
    highest = max(grades, default=0.0)
    return _RELEVANT_ON_FULL_SCALE if highest >= _FULL_SCALE else min(1.0, highest) or 1.0
