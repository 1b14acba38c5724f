"""The values that text analysis produces, the same on the index and the query side: tokens with their kind and position, and the spellings of part numbers."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


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


_RUN: Final = re.compile(r"\d+|[^\W\d_]+")
_SEPARATORS: Final = re.compile(r"[-./+_\s]+")
_MODEL: Final = re.compile(r"([^\W\d_]+\d+)[^\W\d_]")
_SIZE_CODE: Final = re.compile(r"[^\W\d_]\d{1,3}")
_SHORTEST_PART: Final = 3
_SHORTEST_JOINED_DIGITS: Final = 5

# Letters that name a series of sizes: `SCH 40` is `SCH40`. One letter does so too, unless it is a word of its own.
_SERIES: Final = frozenset({"awg", "cl", "ip", "ph", "pn", "pz", "sch", "sdr", "tx", "xp"})
_SINGLE_LETTER_WORDS: Final = frozenset("aeouxy")
_LONGEST_PREFIX: Final = 4


def joined(written: str) -> str:
    """A code without separators: `blt-992900` → `blt992900`.

    Few digits with a separator (`2-4`, `1.5/2`) are a range or a pair rather than a part number; they keep it.
    """
    bare = _SEPARATORS.sub("", written)
    return written if bare.isdigit() and len(bare) < _SHORTEST_JOINED_DIGITS else bare


def parts(written: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What a code is also asked by: (words, numbers, shorter codes), each of three characters or more.

    `17358truper` has the number 17358 and the word truper; `dcd771c2` the shorter code dcd771, the number 771.
    """
    runs = [run for run in _RUN.findall(written) if len(run) >= _SHORTEST_PART]
    words = tuple(run for run in runs if not run.isdigit())
    numbers = tuple(run for run in runs if run.isdigit())
    model = _MODEL.match(_SEPARATORS.sub("", written))
    shorter = [model[1]] if model and len(model[1]) > _SHORTEST_PART else []
    pieces = (p for p in _SEPARATORS.split(written) if len(p) >= _SHORTEST_PART and not p.isdigit() and not p.isalpha())
    return words, numbers, tuple(dict.fromkeys([*shorter, *pieces]))


def is_size(code: str) -> bool:
    """Whether a joined code is a size of a series rather than a part number: `c22`, `g36`, `t20`, `sch40`."""
    return bool(_SIZE_CODE.fullmatch(code)) or code.rstrip("0123456789") in _SERIES


def kind(code: str) -> TokenKind:
    """A series size is a measure, so that `C-22` and `cal. 22` meet; all else is a code."""
    return TokenKind.MEASURE if is_size(code) else TokenKind.CODE


def may_join(letters: str, digits: str) -> bool:
    """Whether a word and the bare number after it may be one code written apart: `blt 992900`, `g 36`, `sch 40`."""
    if letters in _SERIES:
        return True
    if len(letters) == 1:
        return letters not in _SINGLE_LETTER_WORDS
    return len(letters) <= _LONGEST_PREFIX and len(digits) >= _SHORTEST_PART
