"""Judged queries: graded products, what a grade is worth in nDCG, and the files: JSON lines, or TREC-style tables."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import orjson

from schemas.errors import FatalError

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


_QREL_COLUMNS: Final = 3
_TREC_COLUMNS: Final = 4
"""TREC's own files have an unused second column between query and document."""


class JudgmentsError(FatalError):
    """A file of judged queries is not readable. The message names the line; docs/how-to/evaluation.md has the formats."""

    code = "judgments"


def load_judged(path: Path, gain: GainKind = GainKind.AUTO, relevant_from: float | None = None) -> JudgedSet:
    """Read JSON lines: `id`, `query`, `judgments` (sku to grade), and optionally `tenant`, `type`, `intent`.

    Raises:
        JudgmentsError: the file is missing, or a line is not of that form.
    """
    queries = []
    for number, line in _lines(path):
        try:
            queries.append(_query(orjson.loads(line)))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise JudgmentsError(
                f"{path}, line {number}: not an object with id, query and judgments ({error!r})"
            ) from error
    return _judged_set(path.stem, queries, gain, relevant_from)


def load_trec(
    queries_file: Path, qrels_file: Path, gain: GainKind = GainKind.AUTO, relevant_from: float | None = None
) -> JudgedSet:
    """Read a table of `query id, text` and one of `query id, sku, grade` (or TREC's four columns), tabs between.

    Queries without any judgment are left out: nothing can be said of their answers.

    Raises:
        JudgmentsError: a file is missing or a line has other columns.
    """
    grades: dict[str, dict[str, float]] = {}
    for number, line in _lines(qrels_file):
        cells = line.split("\t")
        if len(cells) not in (_QREL_COLUMNS, _TREC_COLUMNS):
            raise JudgmentsError(f"{qrels_file}, line {number}: {len(cells)} columns, not query id, sku and grade")
        try:
            grades.setdefault(cells[0], {})[cells[-2]] = float(cells[-1])
        except ValueError as error:
            raise JudgmentsError(f"{qrels_file}, line {number}: {cells[-1]!r} is not a grade") from error
    queries = []
    for number, line in _lines(queries_file):
        identity, tab, text = line.partition("\t")
        if not tab:
            raise JudgmentsError(f"{queries_file}, line {number}: no tab between query id and text")
        if identity in grades:
            queries.append(JudgedQuery(identity, text, grades[identity]))
    return _judged_set(queries_file.parent.name or queries_file.stem, queries, gain, relevant_from)


def _query(raw: dict[str, Any]) -> JudgedQuery:
    return JudgedQuery(
        id=str(raw["id"]),
        text=str(raw["query"]),
        grades={str(sku): float(grade) for sku, grade in raw["judgments"].items()},
        tenant=str(raw.get("tenant", "")),
        type=str(raw.get("type", "")),
        intent=str(raw.get("intent", "")),
    )


def _judged_set(name: str, queries: Sequence[JudgedQuery], gain: GainKind, relevant_from: float | None) -> JudgedSet:
    if not queries:
        raise JudgmentsError(f"{name}: there are no judged queries in it")
    seen: set[str] = set()
    for query in queries:
        if query.id in seen:
            raise JudgmentsError(f"{name}: the query id {query.id!r} comes twice")
        seen.add(query.id)
    grades = [grade for query in queries for grade in query.grades.values()]
    threshold = relevance_threshold(grades) if relevant_from is None else relevant_from
    return JudgedSet(name, tuple(queries), gain_for(gain, grades), threshold)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that are not blank, decompressed where the name ends in .gz."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise JudgmentsError(f"{path} cannot be read: {error}") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r")
