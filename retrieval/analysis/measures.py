"""Sizes: numbers, fractions and units, in digits or in words, and the one spelling that equal sizes share.

Every quantity of a known dimension becomes a token in that dimension's base unit: `1/2"`, `0.5 in` and `12,7 mm` are all
`12.7mm`, `3 m` and `300 cm` are `3000mm`. Arithmetic is exact (fractions), rounding comes last.

Fractions spoken over several words (`tres cuartos`, `pulgada y media`) are rewritten to digits in the folded text, before it
is cut into lexemes; a single word (`dos`, `media`) keeps its own token and gains the number as an alternative, since it may
mean something else.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from runtime.bounded_cache import remembered_words


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as a factor of its dimension's base unit. `decimals`: to how many the base value is rounded."""

    base: str
    factor: Fraction
    decimals: int = 3


def _unit(base: str, factor: str = "1", decimals: int = 3) -> Unit:
    return Unit(base, Fraction(factor), decimals)


INCH: Final = _unit("mm", "25.4")
MILLIMETRE: Final = _unit("mm")

_SPELLINGS: Final[dict[str, Unit]] = {
    '" in inch inches plg plgs pulg pulgs pul pulgada pulgadas': INCH,
    "mm milimetro milimetros": MILLIMETRE,
    "cm cms cmts centimetro centimetros": _unit("mm", "10"),
    "m mt mts mtr mtrs metro metros meter meters": _unit("mm", "1000"),
    "' ft feet foot pie pies": _unit("mm", "304.8"),
    "g gr grs gramo gramos gram grams": _unit("kg", "0.001", 6),
    "kg kgs kilo kilos kilogramo kilogramos": _unit("kg", decimals=6),
    "lb lbs libra libras": _unit("kg", "0.45359237", 6),
    "tn ton tons tonelada toneladas": _unit("kg", "1000"),
    "oz onza onzas": _unit("oz"),
    "ml cc cm3": _unit("l", "0.001", 6),
    "l lt lts ltr ltrs litro litros liter liters": _unit("l", decimals=6),
    "gal gals galon galones gallon gallons": _unit("l", "3.785411784"),
    "w watt watts vatio vatios": _unit("w"),
    "kw": _unit("w", "1000"),
    "hp cv": _unit("hp"),
    "v volt volts voltio voltios vac vdc": _unit("v"),
    "a amp amps ampere amperes amperio amperios": _unit("a"),
    "ah": _unit("ah"),
    "mah": _unit("ah", "0.001"),
    "psi": _unit("psi"),
    "bar bares": _unit("bar"),
    "lm lumen lumens lumenes": _unit("lm"),
    "rpm": _unit("rpm"),
    "hz": _unit("hz"),
    "awg": _unit("awg"),
    "mm2": _unit("mm2"),
    "m2 mt2 mts2": _unit("m2"),
    "m3 mt3 mts3": _unit("m3"),
}
UNITS: Final = {spelling: unit for spellings, unit in _SPELLINGS.items() for spelling in spellings.split()}

# `10 a 20` is a range, not ten amperes: the letter has to touch its number. Every other unit may stand apart.
_ATTACHED_ONLY: Final = frozenset("a")
_LETTERS_APART: Final = sorted((u for u in UNITS if u.isalnum() and u not in _ATTACHED_ONLY), key=len, reverse=True)
_UNIT_END: Final = r"(?![a-z0-9])|(?=x\s*[.\d])"

NUMBER: Final = r"(?:\d+(?:[.,]\d+)?|[.,]\d+)"
FRACTION: Final = r"\d{1,2}/(?:2|4|8|16|32|64)(?!\d)"
MIXED: Final = rf"\d{{1,2}}(?:\s+|\s*-\s*|\.|\s+y\s+){FRACTION}"
VALUE: Final = rf"(?:{MIXED}|{FRACTION}|{NUMBER})"
# A quote after a blank is an inch only where no quoted name follows: `5 "ACME"`.
UNIT: Final = rf"""(?:"|'(?![a-z])|\s+"(?![a-z0-9])|(?:a|\s*-?(?:{"|".join(_LETTERS_APART)}))(?:{_UNIT_END}))"""

_MIXED_PARTS: Final = re.compile(r"(?:(\d{1,2})(?:\s+|\s*-\s*|\.|\s+y\s+))?(\d{1,2})/(\d{1,2})")
_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2},\d{3}")
_LONGEST_NUMBER: Final = 12
_LONGEST_VALUE: Final = 4_000
"""Characters of a number that is given a value. Reading and writing one takes quadratic time, so Python refuses integers of
more than 4,300 digits; a unit's factor adds a few."""


@dataclass(frozen=True, slots=True)
class WrittenNumber:
    """A number as it was meant: its normal spelling (`1-1/2`, `2.5`), its value, whether it was written as a fraction.

    `value` is None of a number that is too long to be one.
    """

    spelling: str
    value: Fraction | None
    is_fraction: bool

    @property
    def is_whole(self) -> bool:
        """Whether it is an integer."""
        return self.spelling.isdecimal() if self.value is None else self.value.denominator == 1

    def in_unit(self, unit: Unit) -> str:
        """The token that all equal sizes share: `12.7mm`."""
        assert self.value is not None, "what has no value is no size"
        return _plain(self.value * unit.factor, unit.decimals) + unit.base


@remembered_words(max_bytes=16 * 1024 * 1024)
def written_number(written: str) -> WrittenNumber:
    """Read what `VALUE` matched: `1.1/2`, `1 1/2`, `3/4`, `2,50`, `.61`, `1,000`.

    A decimal comma is a point; before exactly three digits it groups thousands. A number of more than twelve
    characters is no size and keeps its spelling, one of more than 4,000 has no value either.
    """
    if len(written) > _LONGEST_VALUE:
        return WrittenNumber(written, None, is_fraction=False)
    if match := _MIXED_PARTS.fullmatch(written):
        whole, above, below = match.groups()
        proper = Fraction(int(above), int(below))
        spelling = f"{above}/{below}"
        return WrittenNumber(f"{whole}-{spelling}" if whole else spelling, proper + int(whole or 0), is_fraction=True)
    point = written.replace(",", "") if _THOUSANDS.fullmatch(written) else written.replace(",", ".")
    value = Fraction("0" + point if point[0] == "." else point)
    plain = written if len(written) > _LONGEST_NUMBER else _plain(value, 6)
    return WrittenNumber(plain, value, is_fraction=False)


def _plain(value: Fraction, decimals: int) -> str:
    """Decimal digits without trailing zeros and without an exponent."""
    if value.denominator == 1:
        return str(value.numerator)
    scaled = round(value * 10**decimals)
    whole, rest = divmod(scaled, 10**decimals)
    digits = str(rest).zfill(decimals).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)


NUMERALS: Final[dict[str, str]] = {
    word: str(value)
    for value, words in {
        2: "dos two",
        3: "tres three",
        4: "cuatro four",
        5: "cinco five",
        6: "seis six",
        7: "siete seven",
        8: "ocho eight",
        9: "nueve nine",
        10: "diez ten",
        11: "once eleven",
        12: "doce twelve",
        15: "quince fifteen",
        20: "veinte twenty",
        25: "veinticinco",
        30: "treinta thirty",
        40: "cuarenta forty",
        50: "cincuenta fifty",
        100: "cien hundred",
    }.items()
    for word in words.split()
} | {"media": "1/2", "medio": "1/2", "half": "1/2"}

_ONE: Final = {"un": "1", "una": "1", "uno": "1", "one": "1", "a": "1", "": "1"}
_DENOMINATORS: Final = {"cuarto": 4, "quarter": 4, "octavo": 8, "eighth": 8, "dieciseisavo": 16, "sixteenth": 16}
_HINTS: Final = ("medi", "half", *_DENOMINATORS)

_COUNT: Final = "un|una|uno|one|a|" + "|".join(word for word in NUMERALS if NUMERALS[word].isdigit())
_PART: Final = rf"(?:(?P<half>medi[ao]|half)|(?:(?P<above>{_COUNT}) )?(?P<below>{'|'.join(_DENOMINATORS)})s?)"
_INCH: Final = r"pulgadas?|inch(?:es)?"
_WHOLE_AND_PART: Final = re.compile(rf"\b(?P<whole>\d{{1,2}}|{_COUNT}|{_INCH}) (?:y|and)(?: a)? {_PART}\b")
_COUNTED_PART: Final = re.compile(rf"\b(?P<above>{_COUNT}) (?P<below>{'|'.join(_DENOMINATORS)})s?\b(?P<half>)")
_PART_OF_INCH: Final = re.compile(rf"\b{_PART}(?= (?:de )?(?:{_INCH})\b)")


def spell_fractions(folded: str) -> str:
    """Write spoken fractions of a folded text in digits: `una pulgada y media` → `una 1 1/2 pulgada`."""
    if not any(hint in folded for hint in _HINTS):
        return folded
    spelled = _WHOLE_AND_PART.sub(_mixed, folded)
    spelled = _COUNTED_PART.sub(_fraction, spelled)
    return _PART_OF_INCH.sub(_fraction, spelled)


def _fraction(match: re.Match[str]) -> str:
    if match["half"]:
        return "1/2"
    above = match["above"] or ""
    return f"{_ONE.get(above) or NUMERALS[above]}/{_DENOMINATORS[match['below']]}"


def _mixed(match: re.Match[str]) -> str:
    whole = match["whole"]
    if whole.startswith(("pulgada", "inch")):
        return f"1 {_fraction(match)} pulgada"
    digits = whole if whole.isdigit() else _ONE.get(whole) or NUMERALS[whole]
    return f"{digits} {_fraction(match)}"
