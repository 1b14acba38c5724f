"""What a query rules out: `no calida`, `que no sea truper`, `sin mango`. Pure.

Two ways of saying so mean two things. `no X` and `que no sea X` rule X out. `sin X` describes the product: shops that
say so write `sin X` or `s/X` themselves, so the expression stays a part of the query, and only products that have X are
ruled out. A product that says `sin` or `no` itself is never ruled out: it denies the word as the query does.

What the rest of the query asks for is not ruled out either: in `caja de herramientas sin herramientas` the word names a part of what is
wanted, and every toolbox has it in its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from retrieval.analysis.pipeline import analyse

DENIALS: Final = ("sin", "no", "without", "not")
"""Words that take a ruled-out word back in a title."""

_LACKS: Final = r"sin|without|no\s+incluy[ea]n?|not\s+(?:included|including)"
_IS_NOT: Final = (
    r"(?:que\s+)?no\s+(?:sea|sean|es|son|tenga|tengan|lleve|lleven|use|usen)|excepto|salvo|menos|except(?:\s+for)?"
    r"|but\s+not|that\s+is\s+not|(?:pero\s+)?no|not"
)
_FILLERS: Final = r"(?:(?:de|del|la|el|los|las|un|una|marca|a|an|the|brand)\s+)*"
# A letter has to follow: `no 8` and `no. 8` are sizes, `menos 10` a temperature.
_RULED_OUT: Final = re.compile(
    rf"(?<!\w)(?:(?P<lacks>{_LACKS})|(?:{_IS_NOT}))\s+{_FILLERS}(?P<word>[^\W\d_][\w-]*)", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A word that the query rules out, and whether the query describes a product that lacks it (`sin X`).

    `asked`: the rest of the query has the word too, so that no product can be ruled out for it.
    """

    word: str
    lacking: bool
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Negated:
    """The query without what is ruled out, and what that is. `text` may be empty."""

    text: str
    exclusions: tuple[Exclusion, ...] = ()


def read_negation(text: str) -> Negated:
    """Take the exclusions out of a query; a query that would be nothing else (`sin fin`) is left as it is."""
    rest = " ".join(_RULED_OUT.sub(" ", text).split()).strip(" ,")
    if not rest or rest == text:
        return Negated(text)
    asked = {token.text for token in analyse(rest).tokens}
    exclusions = tuple(
        Exclusion(found["word"], bool(found["lacks"]), asked=_words(found["word"]) <= asked)
        for found in _RULED_OUT.finditer(text)
    )
    return Negated(rest, exclusions) if exclusions else Negated(text)


def _words(text: str) -> set[str]:
    return {token.text for token in analyse(text).tokens}
