"""Sizes: numbers, fractions and units, and the one spelling that equal sizes share.

Every quantity of a known dimension becomes a token in that dimension's base unit: `1/2"`, `0.5 in` and `12,7 mm` are all
`12.7mm`, `3 m` and `300 cm` are `3000mm`. Arithmetic is exact (fractions), rounding comes last.
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
class Quantity:
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
def quantity(written: str) -> Quantity:
    """Read what `VALUE` matched: `1.1/2`, `1 1/2`, `3/4`, `2,50`, `.61`, `1,000`.

    A decimal comma is a point; before exactly three digits it groups thousands. A number of more than twelve
    characters is no size and keeps its spelling, one of more than 4,000 has no value either.
    """
    if len(written) > _LONGEST_VALUE:
        return Quantity(written, None, is_fraction=False)
    if match := _MIXED_PARTS.fullmatch(written):
        whole, above, below = match.groups()
        proper = Fraction(int(above), int(below))
        spelling = f"{above}/{below}"
        return Quantity(f"{whole}-{spelling}" if whole else spelling, proper + int(whole or 0), is_fraction=True)
    point = written.replace(",", "") if _THOUSANDS.fullmatch(written) else written.replace(",", ".")
    value = Fraction("0" + point if point[0] == "." else point)
    plain = written if len(written) > _LONGEST_NUMBER else _plain(value, 6)
    return Quantity(plain, value, is_fraction=False)


def _plain(value: Fraction, decimals: int) -> str:
    """Decimal digits without trailing zeros and without an exponent."""
    if value.denominator == 1:
        return str(value.numerator)
    scaled = round(value * 10**decimals)
    whole, rest = divmod(scaled, 10**decimals)
    digits = str(rest).zfill(decimals).rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
