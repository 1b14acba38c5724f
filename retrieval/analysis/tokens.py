"""The values that text analysis produces: tokens with their kind and position, the same on the index and the query side."""

from dataclasses import dataclass
from enum import StrEnum


class TokenKind(StrEnum):
    """What a token is, which decides how it is indexed, weighted and expanded."""

    WORD = "word"
    NUMBER = "number"
    MEASURE = "measure"
    """A size in a canonical unit, a fraction of an inch, a thread, a gauge or a grit."""
    CODE = "code"
    """A part number, SKU or other mixed run of letters and digits, kept whole and without separators."""


@dataclass(frozen=True, slots=True)
class Token:
    """One indexable term. `position` counts words; tokens at one position are alternatives (equivalents) of each other."""

    text: str
    kind: TokenKind
    position: int


@dataclass(frozen=True, slots=True)
class AnalysedText:
    """A text and its tokens in order."""

    text: str
    tokens: tuple[Token, ...]
