"""Files of judged queries: one JSON object a line, or TREC-style tables of queries and judgments."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from schemas.errors import FatalError
from training.judgments.gains import GainKind, gain_for
from training.judgments.judged import JudgedQuery, JudgedSet, relevance_threshold

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
