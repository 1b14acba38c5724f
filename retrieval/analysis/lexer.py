"""The lexer: cuts a folded text into lexemes, so that sizes, threads and part numbers stay in one piece.

At each place the kinds are tried in order: what is more specific stands first. What none takes (blanks, brackets, stray
punctuation) separates.

It takes linear time, whatever the text. Most kinds look no further than they take, or a bounded way. Two look further:
dimensions, whose sides go on as long as an `x` follows, and codes, which a digit makes of the letters and hyphens before it.
What these saw is kept while the places that they saw are gone through, so that nothing is looked at from each of them again.
Groups that may repeat without end are possessive: they keep no way back, which would cost memory for every turn.
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

_LINK: Final = r"\s*[x*]\s*"

_PATTERNS: Final = {
    LexemeKind.SLASHED: r"[a-z]{1,2}/(?=\s?[^\W_])",
    LexemeKind.DIMENSIONS: rf"(?={_SIDE}{_LINK})",
    LexemeKind.GAUGE: rf"(?:calibre|calib|cal|gauge)\.?[\s#]*\d{{1,2}}{_END}",
    LexemeKind.GRIT: rf"(?:grano|grit)[\s#]*\d{{1,4}}{_END}",
    LexemeKind.NUMBERED: rf"(?:#\s*|(?:nro|num|no|n)\.\s*|(?:nro|numero)\s+){NUMBER}{_END}",
    LexemeKind.THREADED: rf"{VALUE}\s*-?(?:\"\s*)?(?:npt|nptf|bsp|bspt|bspp|unc|unf)(?![a-z0-9])",
    LexemeKind.QUANTITY: rf"{VALUE}(?:{UNIT}{_END}|{_END})",
    LexemeKind.THREAD: rf"m\d{{1,2}}(?:[.,]\d+)?{_END}",
    LexemeKind.CODE: r"[^\W_]++(?:[-./+_][^\W_]++)*+",
    LexemeKind.COMPOUND: rf"{_LETTER}{{2,}}+(?:-{_LETTER}{{2,}}+)++",
    LexemeKind.WORD: rf"{_LETTER}++(?:'s\b)?\.?",
}
"""Dimensions only begin here, and which letters and digits are a code is not a pattern's to say: see `_Scan`."""


def _first_of(*kinds: LexemeKind) -> str:
    return "|".join(f"(?P<{kind}>{_PATTERNS[kind]})" for kind in kinds)


_SIZES: Final = (
    LexemeKind.GAUGE,
    LexemeKind.GRIT,
    LexemeKind.NUMBERED,
    LexemeKind.THREADED,
    LexemeKind.QUANTITY,
    LexemeKind.THREAD,
)
_WRITTEN: Final = rf"(?P<{LexemeKind.WORD}>[a-z]++(?![^ ,]))|(?P<written>(?=[^\W_]))"
"""A plain word between blanks, as most lexemes are, or else a code, a compound or a word, which is to be told yet."""

_NEXT: Final = re.compile(rf"(?<![^\W_])(?:{_first_of(LexemeKind.SLASHED, LexemeKind.DIMENSIONS, *_SIZES)}|{_WRITTEN})")
_ONE_SIDE: Final = re.compile(f"{_first_of(*_SIZES)}|{_WRITTEN}")
"""What may begin where dimensions turned out not to."""

_FIRST_SIDE: Final = re.compile(rf"{_SIDE}(?={_LINK})")
_MIDDLE_SIDE: Final = re.compile(rf"{_LINK}{_SIDE}(?={_LINK})")
_LAST_SIDE: Final = re.compile(rf"{_LINK}{_SIDE}{_END}")

_PLAIN_RUN: Final = re.compile(r"[a-z-]*+(?P<digit>\d)?")
_DIGIT_BEHIND: Final = re.compile(r"[^\W_]++[-./+_]\d")
_CODE: Final = re.compile(_first_of(LexemeKind.CODE))
_WORDS: Final = re.compile(_first_of(LexemeKind.COMPOUND, LexemeKind.WORD))
_KINDS: Final = {str(kind): kind for kind in LexemeKind}


def lexemes(folded: str) -> Iterator[Lexeme]:
    """The lexemes of a folded text, in order."""
    scan = _Scan(folded)
    place = 0
    while (found := _NEXT.search(folded, place)) is not None:
        start, end, kind = found.start(), found.end(), found.lastgroup
        if kind == LexemeKind.DIMENSIONS:
            end = scan.dimensions(start)
            if not end:
                one_side = _ONE_SIDE.match(folded, start)
                if one_side is None:  # the `#` or the point of a number that belongs to no size
                    place = start + 1
                    continue
                end, kind = one_side.end(), one_side.lastgroup
        if kind == "written":
            written = scan.written(start)
            end, kind = written.end(), written.lastgroup
        assert kind is not None, "every alternative is a named group"
        yield Lexeme(_KINDS[kind], folded[start:end], start, end)
        place = end


class _Scan:
    """What the kinds that look further than they take saw of one text, which is read from its beginning to its end."""

    def __init__(self, folded: str) -> None:
        self._folded = folded
        self._sides_seen = 0
        """Up to here no dimensions begin that were not found."""
        self._run_seen = 0
        self._run_has_digit = False
        """The letters and hyphens up to `_run_seen` were looked through, and whether a digit stands behind them."""

    def dimensions(self, start: int) -> int:
        """Where the dimensions end that begin here; 0 where none do.

        They end with the last side that may stand before what follows it. Every side but the last is followed by a
        link, and there is only one way to read it so: whoever begins at a later side would meet the same ones.
        """
        if start < self._sides_seen:
            return 0
        end = 0
        side = _FIRST_SIDE.match(self._folded, start)
        while side is not None:
            self._sides_seen = side.end()
            if last := _LAST_SIDE.match(self._folded, side.end()):
                end = last.end()
            side = _MIDDLE_SIDE.match(self._folded, side.end())
        return end

    def written(self, start: int) -> re.Match[str]:
        """The code, compound or word that begins here."""
        found = (_CODE if self._is_code(start) else _WORDS).match(self._folded, start)
        assert found is not None, "it begins with a letter, or with a digit and is a code"
        return found

    def _is_code(self, start: int) -> bool:
        if start >= self._run_seen:
            run = _PLAIN_RUN.match(self._folded, start)
            assert run is not None, "it may be empty"
            self._run_has_digit = run["digit"] is not None
            self._run_seen = run.end() - self._run_has_digit
        # A run of letters is taken whole where it is no code, so nobody looks through it again.
        return self._run_has_digit or _DIGIT_BEHIND.match(self._folded, start) is not None
