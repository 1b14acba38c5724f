"""What type of query this is, by rules that a person can check. The type decides how the retrievers weigh. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from retrieval.analysis.tokens import Token, TokenKind


class QueryType(StrEnum):
    """The types, in the order in which they are tried."""

    EMPTY = "empty"
    """Nothing to search by but filters."""
    CODE = "code"
    """A part number, with at most one word beside it."""
    SENTENCE = "sentence"
    """A need rather than a name: an intent phrase, or six words and more."""
    DIMENSION = "dimension"
    """Words with a size or a number."""
    ONE_WORD = "one_word"
    """A single word."""
    NAME = "name"
    """Two or more words."""


_LONG: int = 6


def classify(slots: Sequence[Sequence[Token]], *, is_need: bool = False) -> QueryType:
    """The type of an analysed query, given as its positions; `is_need` says that an intent phrase was found."""
    if not slots:
        return QueryType.EMPTY
    kinds = [{token.kind for token in slot} for slot in slots]
    words = sum(TokenKind.WORD in kind and TokenKind.CODE not in kind for kind in kinds)
    codes = sum(any(_is_part_number(token) for token in slot) for slot in slots)
    if codes and words <= 1:
        return QueryType.CODE
    if is_need or words >= _LONG:
        return QueryType.SENTENCE
    if any(kind & {TokenKind.NUMBER, TokenKind.MEASURE} for kind in kinds):
        return QueryType.DIMENSION
    return QueryType.ONE_WORD if len(slots) == 1 else QueryType.NAME


def _is_part_number(token: Token) -> bool:
    return token.kind is TokenKind.CODE and len(token.text) > 3 and any(map(str.isdigit, token.text))
