"""Which tables an entry of the mapping speaks of: names and wildcard patterns."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import translate

from schemas.mapping import model


@dataclass(frozen=True, slots=True)
class TableName:
    """Where a row is from, as its source names it; empty where the connector has no such level."""

    connector: str
    server: str
    database: str
    schema: str
    table: str

    def __str__(self) -> str:
        return ".".join(filter(None, (self.schema or self.database, self.table))) or "(no table)"


def matcher(match: model.Match) -> Callable[[TableName], bool]:
    """The test that an entry's `match` stands for."""
    tables = (match.table,) if isinstance(match.table, str) else match.table
    patterns = [
        _pattern([match.connector]),
        _pattern([match.server]),
        _pattern([match.database]),
        _pattern([match.schema_]),
        _pattern(tables),
    ]

    def matches(name: TableName) -> bool:
        parts = (name.connector, name.server, name.database, name.schema, name.table)
        return all(pattern is None or pattern.fullmatch(part) for pattern, part in zip(patterns, parts, strict=True))

    return matches


def _pattern(patterns: Sequence[str]) -> re.Pattern[str] | None:
    """One expression for several wildcard patterns; None where every name matches."""
    if "*" in patterns:
        return None
    return re.compile("|".join(translate(pattern) for pattern in patterns), re.IGNORECASE)
