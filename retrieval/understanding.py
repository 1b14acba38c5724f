"""Reading a query before it is searched: quantity, exclusions, polite words, and what type of query it is. Pure.

A number counts things only where a word for a thing follows it: before a unit of size (`20 amp`), a fraction, another
number or a multiplication sign it is a part of the product's name. Weights, lengths and volumes count where a thing
follows them (`2 kg electrodos`, `20 metros de cable`).

Exclusions come in two spellings that mean two things. `no X` and `que no sea X` rule X out. `sin X` describes the product:
catalogues say `sin X` or `s/X` themselves, so the expression stays a part of the query, and only products that have X are
ruled out. A product that says `sin` or `no` itself is never ruled out: it denies the word as the query does. Nor is what the
rest of the query asks for: in `caja de herramientas sin herramientas` the word names a part of what is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from retrieval.analysis.folding import fold
from retrieval.analysis.measures import NUMERALS, UNITS
from retrieval.analysis.pipeline import analyse
from retrieval.analysis.tokens import Token, TokenKind
from schemas.api.explain import OrderedQuantity

_COUNTS: Final = {"un": 1, "una": 1, "uno": 1, "one": 1} | {
    word: int(number) for word, number in NUMERALS.items() if number.isdigit()
}
_PIECES: Final = (
    r"unidades|unidad|unids?|unds?|uds?|piezas?|pzas?|pzs?|docenas?|decenas?|cientos?|millar(?:es)?|pares|par"
    r"|cajas?|cajitas?|bolsas?|paquetes?|rollos?|blisters?|pieces?|pcs|boxes|box|packs?|rolls?|bags?|pairs?"
)
_PACKAGES: Final = (
    _PIECES
    + r"|juegos?|latas?|sacos?|botes?|botellas?|baldes?|cubetas?|tambores|tarros?|potes?|frascos?|galones|galon|gal"
    r"|litros?|lts?|kilos?|kgs?|quintal(?:es)?|metros?|mts?|gallons?|feet|cans?"
)
_ASKING: Final = re.compile(
    r"^(?:(?:hola|buenas|buenos dias|buenas tardes|por favor|porfa|please)[,!.]?\s+)*"
    r"(?:(?:dame|deme|denme|me das?|me dan|me puedes? dar|quiero|quisiera|queremos|necesito|necesitamos|ponme|mandame"
    r"|envia(?:me)?|agrega(?:me)?|anota(?:me)?|cotiza(?:r|me)?|vende(?:me)?|busco|ando buscando|estoy buscando|tienen|tienes"
    r"|tenes|tiene|hay|precio de|cuanto (?:cuesta|vale|sale)|i need|i want|give me|looking for|do you have)\s+)+"
    r"(?:(?:un|una|unos|unas|el|la|los|las|a|some)\s+(?=\D))?"
)
_LEADING: Final = re.compile(
    rf"^(?P<count>\d{{1,5}}|{'|'.join(_COUNTS)})(?:\s+|(?=k(?:g|ilo)))(?:(?P<package>{_PACKAGES})\s+(?:de\s+)?)?"
    r"(?P<thing>[^\W\d_]{3,}.*)$"
)
# Read from the end, where the words are known: a pattern that looks for them from every place takes cubic time.
_PACKAGE: Final = re.compile(_PIECES)
_COUNT_AT_END: Final = re.compile(r"[\s,](?P<count>\d{1,5})$")
_LONGEST_COUNT: Final = 5
_THING: Final = re.compile(r"[^\W\d_]{3}")
_FIRST_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Ordered:
    """The thing that is asked for, folded where something was taken away, and how much of it."""

    text: str
    quantity: OrderedQuantity | None = None


def read_quantity(text: str) -> Ordered:
    """Take asking words and the quantity off a query; a query without either is given back as it is."""
    folded = fold(text)
    asked = _ASKING.sub("", folded)
    leading = _LEADING.match(asked)
    if leading is not None and not _is_size(leading["thing"], leading["package"]):
        count = int(leading["count"]) if leading["count"].isdigit() else _COUNTS[leading["count"]]
        if count:
            return Ordered(leading["thing"], OrderedQuantity(count=count, package=leading["package"] or ""))
    trailing = _trailing(asked)
    if trailing is not None:
        return trailing
    return Ordered(asked) if asked != folded and asked else Ordered(text)


def _trailing(asked: str) -> Ordered | None:
    """A thing and how many packages of it: `tubo pvc, 3 unidades`."""
    before, _, package = asked.rpartition(" ")
    count = _COUNT_AT_END.search(before, max(0, len(before) - _LONGEST_COUNT - 1))
    if count is None or not _PACKAGE.fullmatch(package):
        return None
    thing = before[: count.start()].rstrip(" ,")
    if not int(count["count"]) or not _THING.search(thing):
        return None
    return Ordered(thing, OrderedQuantity(count=int(count["count"]), package=package))


def _is_size(thing: str, package: str | None) -> bool:
    """Whether the number before this belongs to a size: `20 amp breaker`, `115 mm disco`."""
    first = _FIRST_WORD.match(thing)
    return package is None and first is not None and first[0] in UNITS


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
