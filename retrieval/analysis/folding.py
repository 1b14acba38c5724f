"""Folding: the one spelling under which texts are compared, taken before anything else looks at them.

Case, accents, typographic quotes, dashes, multiplication signs and vulgar fractions disappear here, so that no later
stage has to know them. Accents go before stemming: people type `tuberia`, and a stemmer that sees the accent would cut
the two spellings differently.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

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


def fold(text: str) -> str:
    """Lower-case `text` without accents, with plain ASCII quotes, dashes and fractions; blanks are collapsed.

    `1½" X 3 MTS` becomes `1 1/2" x 3 mts`. Letters of other scripts stay as they are. Folding twice changes nothing.
    """
    folded = text.casefold()
    if not folded.isascii():
        folded = _fold_beyond_ascii(folded)
    if "''" in folded:
        folded = folded.replace("''", '"')
    return " ".join(folded.split())


def fold_code(text: str) -> str:
    """The form in which SKUs, part numbers and EANs are compared: folded, letters and digits only.

    `BLT-992900`, `blt 992900` and `BLT992900` are all `blt992900`. A text without a letter or digit gives "".
    """
    return _NOT_ALPHANUMERIC.sub("", fold(text))


@lru_cache(maxsize=16_384)
def _fold_beyond_ascii(text: str) -> str:
    plain = _VULGAR_FRACTION.sub(_spell_fraction, text.translate(_SYMBOLS))
    # The degree sign has no decomposition, unlike the ordinal sign that people type in its place.
    decomposed = unicodedata.normalize("NFKD", plain)
    unaccented = "".join(mark for mark in decomposed if not unicodedata.combining(mark))
    return _NUMBER_SIGN.sub("#", unaccented.translate(_SYMBOLS).casefold()).replace("°", " ")


def _spell_fraction(match: re.Match[str]) -> str:
    whole, vulgar = match.groups()
    fraction = unicodedata.normalize("NFKD", vulgar).translate(_SYMBOLS)
    return f"{whole} {fraction}" if whole else fraction
