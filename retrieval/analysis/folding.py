"""Folding: the one spelling under which texts are compared, taken before anything else looks at them.

Case, accents, typographic quotes, dashes, multiplication signs and vulgar fractions disappear here, so that no later
stage has to know them. Accents go before stemming: people type `tuberia`, and a stemmer that sees the accent would cut
the two spellings differently.

Folding also makes texts longer (one character may come apart into eighteen), so it is here that every text is bounded:
whatever was let in, nothing behind `fold` meets more than `LONGEST_TEXT` characters, nor planning a query of more than
`LONGEST_QUERY`.

Unicode's normal forms are computed in linear time. Normalising sorts the combining marks behind a character, which
`unicodedata` does by insertion, in time that grows with the square of their number (80,000 marks: 13 seconds). So a run of
marks is cut first, at the length at which Unicode's own Stream-Safe Text Format (UAX #15, section 13) cuts it. No language
writes more than a handful.
"""

import re
import sys
import unicodedata
from functools import cache
from typing import Final, Literal

from runtime.bounded_cache import remembered
from schemas.api.limits import MAX_TEXT

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


LONGEST_TEXT: Final = 1_000_000
"""Characters of a folded text: no less than all fields of a product together may hold before they are folded."""

LONGEST_QUERY: Final = MAX_TEXT
"""Characters of a folded query: what a request may hold, counted again once it is folded."""

_FOLDED_BYTES: Final = 8 * 1024 * 1024
_LONGEST_REMEMBERED: Final = 512
"""A longer text is folded each time: titles and queries come again, descriptions hardly."""

# By code point, since half of these look alike: double quotes and primes, single quotes and accents used as such,
# hyphens and dashes, multiplication signs, the fraction slash, the ordinal sign (typed for degrees), the numero sign.
# The diameter sign and the soft hyphen say nothing.
_SPELLINGS: Final = {
    '"': "\u201c\u201d\u201e\u2033",
    "'": "\u2018\u2019\u2032\u00b4\u0060",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2212",
    "x": "\u00d7\u2715",
    "/": "\u2044",
    "\u00b0": "\u00ba",
    "#": "\u2116",
    " ": "\u00f8\u00d8\u2300",
    "": "\u00ad",
}
_SYMBOLS: Final = str.maketrans({sign: plain for plain, signs in _SPELLINGS.items() for sign in signs})
_VULGAR_FRACTION = re.compile(r"(\d?)([\u00bc-\u00be\u2150-\u215e])")
_NUMBER_SIGN = re.compile(r"\bn°\s*(?=\d)")
_NOT_ALPHANUMERIC = re.compile(r"[\W_]+")


def fold(text: str, longest: int = LONGEST_TEXT) -> str:
    """Lower-case `text` without accents, with plain ASCII quotes, dashes and fractions; blanks are collapsed.

    `1½" X 3 MTS` becomes `1 1/2" x 3 mts`. Letters of other scripts stay as they are. Folding twice changes nothing.
    What is longer than `longest` once folded ends before the word that goes beyond.
    """
    folded = _folded(text, longest)
    return folded if len(folded) <= longest else _beginning(folded, longest)


def is_within(text: str, longest: int) -> bool:
    """Whether neither a text nor its folded form is longer."""
    return len(text) <= longest and len(_folded(text, longest)) <= longest


def bounded_query(text: str) -> str:
    """A query as it is, or, where it or its folded form is too long, as much of that as may be planned."""
    return text if is_within(text, LONGEST_QUERY) else fold(text, LONGEST_QUERY)


def fold_code(text: str) -> str:
    """The form in which SKUs, part numbers and EANs are compared: folded, letters and digits only.

    `BLT-992900`, `blt 992900` and `BLT992900` are all `blt992900`. A text without a letter or digit gives "".
    """
    return _NOT_ALPHANUMERIC.sub("", fold(text))


def _folded(text: str, enough: int) -> str:
    """The folded text; of one that is longer than `enough`, at least as much as that."""
    folded = text.casefold()
    if not folded.isascii():
        folded = _remembered(folded) if len(folded) <= _LONGEST_REMEMBERED else _fold_beyond_ascii(folded, enough)
    if "''" in folded:
        folded = folded.replace("''", '"')
    return " ".join(folded.split())


@remembered("foldings", max_bytes=_FOLDED_BYTES)
def _remembered(text: str) -> str:
    return _fold_beyond_ascii(text, LONGEST_TEXT)


def _fold_beyond_ascii(text: str, enough: int) -> str:
    plain = _VULGAR_FRACTION.sub(_spell_fraction, text.translate(_SYMBOLS))
    # The degree sign has no decomposition, unlike the ordinal sign that people type in its place.
    unaccented = unmarked(plain, 2 * enough)  # twice, as pairs of signs are still to become one
    return _NUMBER_SIGN.sub("#", unaccented.translate(_SYMBOLS).casefold()).replace("°", " ")


def _beginning(folded: str, longest: int) -> str:
    """As many whole words of a folded text as fit; of a first word that does not, as much as does."""
    whole = folded[: longest + 1].rpartition(" ")[0]
    return whole or folded[:longest]


def _spell_fraction(match: re.Match[str]) -> str:
    whole, vulgar = match.groups()
    fraction = unicodedata.normalize("NFKD", vulgar).translate(_SYMBOLS)
    return f"{whole} {fraction}" if whole else fraction
