"""Counts in words and digits, in Spanish, English and Portuguese: `tres`, `media docena`, `treinta y cinco`, `a pair`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from retrieval.analysis.measures import NUMERALS

_MORE_NUMERALS: Final = {
    1: "un una uno one um uma",
    2: "dois duas",
    3: "tres",
    4: "quatro",
    6: "meia-duzia",
    7: "sete",
    8: "oito",
    10: "dez",
    13: "trece thirteen treze",
    14: "catorce fourteen quatorze",
    16: "dieciseis sixteen",
    17: "diecisiete seventeen",
    18: "dieciocho eighteen",
    19: "diecinueve nineteen",
    20: "vinte",
    21: "veintiuno veintiun veintiuna",
    22: "veintidos",
    23: "veintitres",
    24: "veinticuatro",
    26: "veintiseis",
    27: "veintisiete",
    28: "veintiocho",
    29: "veintinueve",
    30: "trinta",
    60: "sesenta sixty",
    70: "setenta seventy",
    80: "ochenta eighty",
    90: "noventa ninety",
    200: "doscientos doscientas",
    300: "trescientos trescientas",
    400: "cuatrocientos cuatrocientas",
    500: "quinientos quinientas",
    1000: "mil thousand",
}
COUNTS: Final[dict[str, int]] = {
    **{word: int(number) for word, number in NUMERALS.items() if number.isdigit()},
    **{word: number for number, words in _MORE_NUMERALS.items() for word in words.split()},
}
"""Words that count, folded."""

MULTIPLES: Final[dict[str, int]] = {
    word: size
    for size, words in {
        2: "par pares pair pairs couple",
        10: "decena decenas",
        12: "docena docenas dozen dozens duzia duzias doc",
        100: "ciento cientos centena centenas",
        144: "gruesa gruesas gross",
        1000: "millar millares",
    }.items()
    for word in words.split()
}
"""Words that count in lots."""

_HALVES: Final = frozenset({"media", "medio", "half", "meia"})
_THOUSANDS: Final = re.compile(r"[1-9]\d{0,2}(?:[.,]\d{3}){1,4}")
"""A thousand begins with no 0: `0.001` is a thousandth. It goes to 999,999,999,999,999: more digits are a code."""
_DIGITS: Final = re.compile(rf"{_THOUSANDS.pattern}|0[.,]\d{{1,9}}|\d{{1,12}}(?:[.,]\d{{1,2}})?")


@dataclass(frozen=True, slots=True)
class Count:
    """A number that was read: its value, how many words it took, and the lot that it was counted in (`docena`)."""

    value: Decimal
    words: int
    lot: str = ""
    lots: Decimal = Decimal(0)


def read_count(words: list[str]) -> Count | None:
    """The count with which these words begin: `2`, `dos docenas`, `half a dozen`, `treinta y cinco`; None: they do not."""
    if not words:
        return None
    half = _half(words)
    if half is not None:
        return half
    lot = MULTIPLES.get(words[0])
    if lot is not None:
        return _with_half(words, Count(Decimal(lot), 1, words[0], Decimal(1)), lot)
    number = _number(words)
    if number is None:
        return None
    value, taken = number
    follower = words[taken] if taken < len(words) else ""
    if follower == "of" and taken + 1 < len(words):
        follower = ""
    lot = MULTIPLES.get(follower)
    if lot is None:
        return Count(value, taken)
    return _with_half(words, Count(value * lot, taken + 1, follower, value), lot)


def _half(words: list[str]) -> Count | None:
    """`media docena`, `half a dozen`, `half dozen`."""
    if words[0] not in _HALVES:
        return None
    at = 2 if words[1:2] == ["a"] else 1
    lot = MULTIPLES.get(words[at]) if at < len(words) else None
    if lot is None:
        return None
    return Count(Decimal(lot) / 2, at + 1, words[at], Decimal("0.5"))


def _with_half(words: list[str], count: Count, lot: int) -> Count:
    """`docena y media`: one and a half."""
    after = words[count.words : count.words + 2]
    if len(after) == 2 and after[0] in {"y", "and", "e"} and after[1] in _HALVES:
        return Count(count.value + Decimal(lot) / 2, count.words + 2, count.lot, count.lots + Decimal("0.5"))
    return count


def _number(words: list[str]) -> tuple[Decimal, int] | None:
    first = words[0]
    if _DIGITS.fullmatch(first):
        plain = re.sub(r"[.,]", "", first) if _THOUSANDS.fullmatch(first) else first.replace(",", ".")
        return Decimal(plain), 1
    value = COUNTS.get(first)
    if first == "a" and len(words) > 1 and words[1] in MULTIPLES:
        return Decimal(1), 1
    if value is None:
        return None
    taken = 1
    # `treinta y cinco`, `ciento veinte`: a smaller number follows a round one.
    while taken < len(words):
        at = taken + 1 if words[taken] in {"y", "and", "e"} and value % 10 == 0 and value < 100 else taken
        smaller = COUNTS.get(words[at]) if at < len(words) else None
        if smaller is None or (smaller >= 10 if at > taken else value < 100 or smaller >= 100):
            break
        if at == taken and smaller >= value:
            break
        value, taken = value + smaller, at + 1
    if taken < len(words) and words[taken] == "mil" and value < 1000:
        value, taken = value * 1000, taken + 1
    return Decimal(value), taken
