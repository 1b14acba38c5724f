"""The lexer: cuts a folded text into lexemes, so that sizes, threads and part numbers stay in one piece.

One regular expression, whose alternatives are tried in order at each place: what is more specific stands first. What
no alternative takes (blanks, brackets, stray punctuation) separates.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from retrieval.analysis.measures import NUMBER, UNIT, VALUE


class LexemeKind(StrEnum):
    """What a lexeme looks like; `expansion` turns each into tokens."""

    SLASHED = "slashed"
    """One or two letters before a slash, glued to the next word: `c/`, `p/`."""
    DIMENSIONS = "dimensions"
    """Sizes joined by x or *: `M8 x 40`, `1/2" x 3 m`, `10*20`."""
    GAUGE = "gauge"
    """A sheet gauge: `cal. 22`, `calibre 22`."""
    GRIT = "grit"
    """An abrasive's grit: `grano 36`, `grit 36`."""
    NUMBERED = "numbered"
    """A size number: `#8`, `nro. 8`."""
    THREADED = "threaded"
    """A size with the thread's standard: `3/4 NPT`."""
    QUANTITY = "quantity"
    """A number or fraction, with its unit if it has one: `1.1/2"`, `220 v`, `2,5`."""
    THREAD = "thread"
    """A metric thread: `M8`."""
    CODE = "code"
    """A run with digits in it, separators included: `BLT-992900`, `80-534`, `G-36`, `15-50mm`."""
    COMPOUND = "compound"
    """Words joined by hyphens: `pela-cable`."""
    WORD = "word"
    """Letters, with the point of an abbreviation if there is one: `galv.`."""


@dataclass(frozen=True, slots=True)
class Lexeme:
    """A piece of the folded text: its kind, its spelling there, and where it begins and ends."""

    kind: LexemeKind
    text: str
    start: int
    end: int


# A size ends here: nothing glued to it that would make it part of a code or of a range.
_END: Final = r"(?![a-z0-9]|[-./+_]\w)"
_METRIC_THREAD: Final = r"m\s?\d{1,2}(?:[.,]\d+)?"
_SIDE: Final = rf"(?:{_METRIC_THREAD}|#\s*\d+|{VALUE}{UNIT}?)"
_LETTER: Final = r"[^\W\d_]"

_PATTERNS: Final = {
    LexemeKind.SLASHED: r"[a-z]{1,2}/(?=\s?[^\W_])",
    LexemeKind.DIMENSIONS: rf"{_SIDE}(?:\s*[x*]\s*{_SIDE})+{_END}",
    LexemeKind.GAUGE: rf"(?:calibre|calib|cal|gauge)\.?[\s#]*\d{{1,2}}{_END}",
    LexemeKind.GRIT: rf"(?:grano|grit)[\s#]*\d{{1,4}}{_END}",
    LexemeKind.NUMBERED: rf"(?:#\s*|(?:nro|num|no|n)\.\s*|(?:nro|numero)\s+){NUMBER}{_END}",
    LexemeKind.THREADED: rf"{VALUE}\s*-?(?:\"\s*)?(?:npt|nptf|bsp|bspt|bspp|unc|unf)(?![a-z0-9])",
    LexemeKind.QUANTITY: rf"{VALUE}(?:{UNIT}{_END}|{_END})",
    LexemeKind.THREAD: rf"m\d{{1,2}}(?:[.,]\d+)?{_END}",
    LexemeKind.CODE: r"(?=[a-z-]*\d|[^\W_]+[-./+_]\d)[^\W_]+(?:[-./+_][^\W_]+)*",
    LexemeKind.COMPOUND: rf"{_LETTER}{{2,}}(?:-{_LETTER}{{2,}})+",
    LexemeKind.WORD: rf"{_LETTER}+(?:'s\b)?\.?",
}
_LEXEME: Final = re.compile(r"(?<![^\W_])(?:" + "|".join(f"(?P<{kind}>{p})" for kind, p in _PATTERNS.items()) + ")")
_KINDS: Final = {str(kind): kind for kind in LexemeKind}


def lexemes(folded: str) -> Iterator[Lexeme]:
    """The lexemes of a folded text, in order."""
    for match in _LEXEME.finditer(folded):
        kind = match.lastgroup
        assert kind is not None, "every alternative is a named group"
        yield Lexeme(_KINDS[kind], match[0], *match.span())
