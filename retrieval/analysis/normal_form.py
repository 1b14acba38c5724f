"""Unicode's normal forms in linear time, whatever marks a text piles up.

Normalising sorts the combining marks behind a character. `unicodedata` does so by insertion, in time that grows with the
square of their number (80,000 marks: 13 seconds), so a run of them is cut first, at the length at which Unicode's own
Stream-Safe Text Format (UAX #15, section 13) cuts it. No language writes more than a handful.
"""

import re
import sys
import unicodedata
from functools import cache
from typing import Final, Literal

LONGEST_RUN: Final = 30
"""Combining marks in a row that are kept."""

_PIECE: Final = 64
"""Characters that are decomposed at a time where no marks are kept."""


def normal_form(form: Literal["NFC", "NFKC"], text: str) -> str:
    """The text in a normal form; of more than `LONGEST_RUN` marks in a row the rest is dropped."""
    if text.isascii():
        return text
    return unicodedata.normalize(form, _too_many_marks().sub(r"\1", text))


def unmarked(text: str, most: int = sys.maxsize) -> str:
    """The text decomposed (NFKD) and without its marks, or its beginning once that has `most` characters and more.

    It is taken piece by piece, which makes no difference to what is left: only marks ever change places.
    """
    if text.isascii():
        return text
    pieces: list[str] = []
    found = 0
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE]
        if not piece.isascii():
            piece = "".join(mark for mark in unicodedata.normalize("NFKD", piece) if not unicodedata.combining(mark))
        pieces.append(piece)
        found += len(piece) - piece.count(" ")
        if found >= most:
            break
    return "".join(pieces)


@cache
def _too_many_marks() -> re.Pattern[str]:
    """A run of marks that is too long, what is kept of it as its group. A character costs at most 31 steps."""
    marks = "".join(_ranges([code for code in range(0x300, 0x20000) if _only_marks(chr(code))]))
    return re.compile(f"([{marks}]{{{LONGEST_RUN}}})[{marks}]++")


def _only_marks(character: str) -> bool:
    """Whether a character comes apart into marks alone, as a mark itself does and a few others."""
    return all(map(unicodedata.combining, unicodedata.normalize("NFKD", character)))


def _ranges(codes: list[int]) -> list[str]:
    """The codes, in order, as the ranges of a character class."""
    starts = [code for before, code in zip([-1, *codes], codes, strict=False) if code != before + 1]
    ends = [code for code, after in zip(codes, [*codes[1:], sys.maxunicode + 2], strict=True) if after != code + 1]
    return [f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True)]
