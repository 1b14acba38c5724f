"""Column names as a mapping spells them: the same letters without regard to case and accents are the same column.

Oracle writes every name in capitals, SQL Server as its table was made, and people write *código* with and without the
accent. A column that is spelt exactly as in the mapping goes before one that is only folded alike.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

V = TypeVar("V")

_MOST_SHAPES: Final = 64
"""Shapes of rows that are remembered: a table has one, and one more for each change of its columns."""
_LONGEST_SHAPE: Final = 16_384
"""Characters of a remembered shape's names; what a flood of invented ones has is made out each time."""


def folded(name: str) -> str:
    """A column's name without case, accents and surrounding blanks."""
    # Letter by letter: all marks go, so none has to be put in order first, which takes more than linear time.
    letters = (unicodedata.normalize("NFKD", letter) for letter in name.strip().casefold())
    return "".join(letter for decomposed in letters for letter in decomposed if not unicodedata.combining(letter))


def respelt(columns: Mapping[str, V], names: Mapping[str, str]) -> Mapping[str, V]:
    """What is given by column, under other names; itself where there are none."""
    return {names.get(column, column): value for column, value in columns.items()} if names else columns


class ColumnSpelling:
    """Which of a row's columns a mapping's entry means, by its own spelling of them."""

    __slots__ = ("_known", "_named")

    def __init__(self, columns: Iterable[str]) -> None:
        self._named: dict[str, list[str]] = {}
        for column in sorted(columns):
            self._named.setdefault(folded(column), []).append(column)
        self._known: dict[tuple[str, ...], Mapping[str, str]] = {}

    def of(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """The row under the mapping's spelling; other columns keep their own. The row itself where nothing differs."""
        return respelt(row, self.names(row))

    def names(self, row: Iterable[str]) -> Mapping[str, str]:
        """The mapping's name of each column that the row spells otherwise."""
        columns = tuple(row)
        known = self._known.get(columns)
        if known is None:
            known = self._rename(columns)
            if sum(map(len, columns)) <= _LONGEST_SHAPE:
                if len(self._known) >= _MOST_SHAPES:
                    self._known.clear()
                self._known[columns] = known
        return known

    def _rename(self, columns: tuple[str, ...]) -> Mapping[str, str]:
        taken, names = set(columns), dict[str, str]()
        for column in columns:
            wanted = self._named.get(folded(column), ())
            if column in wanted:
                continue
            free = next((name for name in wanted if name not in taken), None)
            if free is not None:
                names[column] = free
                taken.add(free)
        return names
