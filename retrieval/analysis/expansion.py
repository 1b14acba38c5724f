"""Expansion: what each lexeme is worth in tokens. Terms of one slot are alternatives of each other; slots follow in order.

A term's kind says where it is indexed: words and numbers with the text, measures and codes apart. So a size adds its
plain number to the text once and its canonical size to the sizes, and the text's length stays its number of words.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from retrieval.analysis import tokens as codes
from retrieval.analysis.abbreviations import Abbreviations
from retrieval.analysis.lexer import LexemeKind
from retrieval.analysis.measures import (
    INCH,
    MILLIMETRE,
    NUMERALS,
    UNIT,
    UNITS,
    VALUE,
    Unit,
    WrittenNumber,
    written_number,
)
from retrieval.analysis.stemming import stem
from retrieval.analysis.tokens import TokenKind
from runtime.bounded_cache import remembered_words

Term = tuple[str, TokenKind]
Slot = tuple[Term, ...]

# Words that carry nothing in either language. Negations stay: what `sin cable` excludes is for the query to decide.
STOP_WORDS: Final = frozenset(
    {
        "a",
        "al",
        "and",
        "con",
        "de",
        "del",
        "e",
        "el",
        "en",
        "for",
        "la",
        "las",
        "los",
        "o",
        "of",
        "or",
        "para",
        "por",
        "que",
        "the",
        "to",
        "un",
        "una",
        "unas",
        "unos",
        "with",
        "y",
    }
)

_SIDE: Final = re.compile(
    rf"(?:(?P<thread>m\s?\d+(?:[.,]\d+)?)|\#\s*(?P<number>\d+)|(?P<value>{VALUE})(?P<unit>{UNIT})?)"
)
# Numbers alone: a fraction is two of them, so that there is one way to read `1-1/2-3/4`, not two for each sign.
_END_OF_RANGE: Final = rf"\d++(?:\.\d++)?+(?:{UNIT})?+"
_RANGE: Final = re.compile(rf"{_END_OF_RANGE}(?:[-/+]{_END_OF_RANGE})++")
_DIGITS: Final = re.compile(r"\d[\d.,]*")
_SHORTEST_BARE_CODE: Final = 4


@remembered_words(max_bytes=64 * 1024 * 1024, word=1)
def expand(kind: LexemeKind, text: str, abbreviations: Abbreviations) -> tuple[Slot, ...]:
    """The slots of one lexeme; a stop word gives one empty slot, so that positions keep counting it."""
    if kind is LexemeKind.WORD:
        return (_word(text, abbreviations),)
    if kind is LexemeKind.SLASHED:
        meant = abbreviations.slashed.get(text[:-1])
        return (_words(meant.split() if meant else [text[:-1]]),)
    return tuple(_unique(slot) for slot in _EXPANSIONS[kind](text))


def _word(text: str, abbreviations: Abbreviations) -> Slot:
    word = text.rstrip(".").removesuffix("'s")
    meant = abbreviations.everywhere.get(word)
    if meant is None and text[-1] == ".":
        meant = abbreviations.pointed.get(word)
    terms = list(_words([word, *(meant.split() if meant else ())]))
    if number := NUMERALS.get(word):
        terms.append((number, TokenKind.NUMBER))
        if "/" in number:
            terms += _measure(written_number(number), INCH)
    return _unique(terms)


def _words(words: Iterable[str]) -> Slot:
    return tuple((stem(word), TokenKind.WORD) for word in words if word not in STOP_WORDS)


def _compound(text: str) -> list[Slot]:
    words = text.split("-")
    slots = [_words([word]) for word in words]
    whole = (stem("".join(words)), TokenKind.WORD)
    return [(*slots[0], whole), *slots[1:]]


def _quantity(text: str) -> list[Slot]:
    match = _SIDE.fullmatch(text)
    assert match is not None, "the lexer and this module share their patterns"
    return [_sized(match, None)]


def _dimensions(text: str) -> list[Slot]:
    sides = list(_SIDE.finditer(text))
    inherited = _inherited_units(sides)
    slots = [list(_sized(side, unit)) for side, unit in zip(sides, inherited, strict=True)]
    names = [_name(side) for side in sides]
    for i in range(len(names) - 1):
        slots[i].append((f"{names[i]}x{names[i + 1]}", TokenKind.MEASURE))
    if len(names) > 2:
        slots[0].append(("x".join(names), TokenKind.MEASURE))
    return [tuple(slot) for slot in slots]


def _inherited_units(sides: list[re.Match[str]]) -> list[Unit | None]:
    """The unit that each side without one takes from the next side to its right; after a metric thread, millimetres."""
    units: list[Unit | None] = []
    following: Unit | None = None
    for side in reversed(sides):
        if side["unit"]:
            following = _unit_of(side)
        units.append(following)
    units.reverse()
    if sides[0]["thread"]:
        return [unit or MILLIMETRE for unit in units]
    return units


def _sized(side: re.Match[str], inherited: Unit | None) -> Slot:
    """A side of a dimension, or a size by itself: its plain number, and its canonical size where the unit is known."""
    if side["thread"]:
        return ((_name(side), TokenKind.MEASURE),)
    if side["number"]:
        return _numbered(side["number"])
    size = written_number(side["value"])
    terms = [(size.spelling, TokenKind.NUMBER)]
    unit = _unit_of(side) if side["unit"] else INCH if size.is_fraction else inherited
    if unit is not None:
        terms += _measure(size, unit)
    elif size.is_whole and len(side["value"]) >= _SHORTEST_BARE_CODE:
        terms.append((codes.joined(side["value"]), TokenKind.CODE))
    glued = side["value"] + (side["unit"] or "")
    if side["unit"] and glued.isalnum():
        # `3M` and `12V` are a brand and a model as well.
        terms.append((glued, TokenKind.CODE))
    return _unique(terms)


def _measure(size: WrittenNumber, unit: Unit) -> tuple[Term, ...]:
    """The canonical size; none of a number that is too long to have a value."""
    return () if size.value is None else ((size.in_unit(unit), TokenKind.MEASURE),)


def _unit_of(side: re.Match[str]) -> Unit:
    return UNITS[side["unit"].strip(" -")]


def _name(side: re.Match[str]) -> str:
    """A side's spelling in a joined dimension, without its unit: the units are in the sides' own tokens."""
    if side["thread"]:
        return side["thread"].replace(" ", "").replace(",", ".")
    return side["number"] or written_number(side["value"]).spelling


def _threaded(text: str) -> list[Slot]:
    match = re.match(VALUE, text)
    assert match is not None, "the lexer and this module share their patterns"
    size = written_number(match[0])
    standard = text[match.end() :].strip(' -"')
    sized = (
        (size.spelling, TokenKind.NUMBER),
        *_measure(size, INCH),
        (size.spelling + standard, TokenKind.MEASURE),
    )
    return [sized, ((standard, TokenKind.WORD),)]


def _prefixed(word: str, prefix: str) -> Callable[[str], list[Slot]]:
    def slots(text: str) -> list[Slot]:
        number = _number_in(text)
        named: Slot = ((stem(word), TokenKind.WORD),)
        return [named, ((number, TokenKind.NUMBER), (prefix + number, TokenKind.MEASURE))]

    return slots


def _number_in(text: str) -> str:
    match = _DIGITS.search(text)
    assert match is not None, "the lexer and this module share their patterns"
    return written_number(match[0].rstrip(".,")).spelling


def _numbered(number: str) -> Slot:
    plain = written_number(number).spelling
    return ((plain, TokenKind.NUMBER), (f"#{plain}", TokenKind.MEASURE))


def _thread(text: str) -> list[Slot]:
    return [((text.replace(",", "."), TokenKind.MEASURE),)]


def _code(text: str) -> list[Slot]:
    if _RANGE.fullmatch(text):
        return _range(text)
    whole = codes.joined(text)
    if codes.is_size(whole):
        return [((whole, TokenKind.MEASURE), (_number_in(whole), TokenKind.NUMBER))]
    words, numbers, shorter = codes.parts(text)
    terms: list[Term] = [(whole, TokenKind.CODE), *((code, TokenKind.CODE) for code in shorter)]
    terms += [(number, TokenKind.NUMBER) for number in numbers]
    terms += [(number, TokenKind.CODE) for number in numbers if len(number) >= _SHORTEST_BARE_CODE]
    terms += _words(words)
    return [tuple(terms)]


def _range(text: str) -> list[Slot]:
    """`15-50mm`, `12/24v`, `2-4`, `80-534`: each end by itself, and the whole in case it is a part number."""
    ends = list(_SIDE.finditer(text))
    slots = [list(_sized(end, unit)) for end, unit in zip(ends, _inherited_units(ends), strict=True)]
    if not any(end["unit"] for end in ends):
        slots[0].append((codes.joined(text), TokenKind.CODE))
    return [tuple(slot) for slot in slots]


def _unique(terms: Iterable[Term]) -> Slot:
    return tuple(dict.fromkeys(terms))


_EXPANSIONS: Final[dict[LexemeKind, Callable[[str], list[Slot]]]] = {
    LexemeKind.DIMENSIONS: _dimensions,
    LexemeKind.GAUGE: _prefixed("calibre", "c"),
    LexemeKind.GRIT: _prefixed("grano", "g"),
    LexemeKind.NUMBERED: lambda text: [_numbered(_number_in(text))],
    LexemeKind.THREADED: _threaded,
    LexemeKind.QUANTITY: _quantity,
    LexemeKind.THREAD: _thread,
    LexemeKind.CODE: _code,
    LexemeKind.COMPOUND: _compound,
}
