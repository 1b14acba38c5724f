"""What is asked of the text index: clauses, each one idea of the query with the spellings under which it may be found.

A clause is met by its best alternative. The first alternative holds the words as they were typed, of which any may
match; a rewriting (an alias, a spelling correction) has to match whole and counts at its weight. What a product must not
hold is named apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from retrieval.analysis.tokens import AnalysedText, Token


@dataclass(frozen=True, slots=True)
class Alternative:
    """Words that stand for a clause. Tokens that share a position are alternatives of each other.

    `weight` is a factor on the score of what matches; `whole` says that every position has to match.
    """

    tokens: tuple[Token, ...]
    weight: float = 1.0
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Unwanted:
    """Words that no hit may have where it is named, unless it has one of the words of `unless` too (`sin mango`)."""

    tokens: tuple[Token, ...]
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Clause:
    """One idea of the query. `width` is the number of typed positions that it stands for: what covering it is worth.

    `extra` marks what was not asked for by itself (the quantity of an order), so that a product may well be without it.
    """

    alternatives: tuple[Alternative, ...]
    width: int = 1
    extra: bool = False


@dataclass(frozen=True, slots=True)
class TextQuery:
    """The clauses, each optional (the more a product meets, the better), and what no hit may hold."""

    clauses: tuple[Clause, ...]
    excluded: tuple[Unwanted, ...] = ()

    @classmethod
    def of(cls, analysed: AnalysedText) -> TextQuery:
        """A query of the words as they were typed: a clause for each position."""
        return cls(typed_clauses(analysed.tokens))


def typed_clauses(tokens: Sequence[Token], weight: float = 1.0, *, extra: bool = False) -> tuple[Clause, ...]:
    """A clause for each position of these tokens, which are in order."""
    slots = (tuple(slot) for _, slot in groupby(tokens, key=lambda token: token.position))
    return tuple(Clause((Alternative(slot, weight),), extra=extra) for slot in slots)
