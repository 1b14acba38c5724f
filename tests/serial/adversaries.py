"""Texts that are hard to read: fixed shapes of the kinds that took patterns and loops of ours down, and random ones.

A shape makes a text of any length, the same sort of text at each: what it costs to read may grow with its length only.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

Shape = Callable[[int, int], str]
"""A text of about this many characters, counted as they fold, so many times over: each period is exactly so many times as often."""

_PERIODS: Final = (
    *(
        "a",
        "1",
        "1.",
        "1,",
        "1/",
        "1-",
        "1x",
        "1x ",
        "1*",
        "a-",
        "a--",
        "a.",
        "a. ",
        "a ",
        "1 ",
        "a1",
        "a1-",
        "ж-",
        "#",
        "# ",
    ),
    *(
        "-",
        ".",
        ",",
        "x",
        "x ",
        "'",
        "''",
        '"',
        '5"',
        " ",
        "\n",
        "\t ",
        "(",
        "m8 ",
        "m 8 x ",
        "1/2-",
        "1/2 ",
        "1 1/2 x ",
        "1-1/2-",
    ),
    *(
        "y ",
        "y a ",
        "y 2 a ",
        "no ",
        "no, ",
        "de ",
        "de ,",
        " ,",
        "sin la ",
        "que no sea ",
        "hola ",
        "ok. ",
        "dame ",
        "en el pedido ",
    ),
    *(
        "por favor, ",
        "quita ",
        "en vez de ",
        "a 5 a ",
        "media y ",
        "un cuarto y ",
        "n° ",
        "1.000",
        "99% ",
        "$1,",
        "de a, ",
        "lol ",
    ),
    *(
        "\u3316",
        "\ufdfa",
        "\u00bd",
        "1\u00bd",
        "\u0301",
        "\u0323\u0301",
        "e\u0301",
        "\u0f73\u0f71",
        "\ufb03",
        "\u00ad",
        "\u2033",
    ),
    *("|", ";", "&", "{", "[", '"op":', "12345 ", "tubo de ", "cajas 5 ", "aguja", "[1,", "1e9", "\u0663", "<", "< /"),
)
_ENDS: Final = ("", "!", "q", " 8", "1q", " no", " z", "\u0301x")
"""What stands at the end, so that what fitted all the way does not fit after all."""

_NEAR_MISSES: Final = (
    *(
        ("1/2-", "1/2q"),
        ("1-1/2+", "q"),
        ("1.1/2-", "1!"),
        ("12/", "m2q"),
        ("1x ", "1q"),
        ("m8x ", "1q"),
        ("1x1 x", "q"),
        ("a-", "8q"),
    ),
    *(
        ("aa-", "a"),
        ("a--", "8"),
        (",", "no"),
        (", no", " z"),
        ("1", "q pesos"),
        ("no la ", "8"),
        ("ok, ", "z"),
        ("12.", ".12"),
    ),
)
"""Periods with the end that what reads them almost takes."""

_ATOMS: Final = (
    *(
        "a",
        "b",
        "m",
        "x",
        "y",
        "q",
        "1",
        "2",
        "8",
        "12",
        "1/2",
        " ",
        " ",
        "-",
        ".",
        ",",
        "/",
        "*",
        '"',
        "'",
        "#",
        "+",
        "_",
        "(",
        ":",
    ),
    *(
        "mm",
        "npt",
        "cal",
        "de",
        "no",
        "la",
        "dame",
        "caja",
        "\u00bd",
        "\u3316",
        "\u0301",
        "\u0323",
        "\u00e9",
        "\u0436",
        "\u00b0",
        "$",
        "%",
    ),
)


def periodic(period: str, end: str = "") -> Shape:
    """A period that is repeated a dozen times or several dozens, and an end: what takes two or three at a time leaves none."""
    width = max(len(period), len(unicodedata.normalize("NFKD", period)))
    return lambda characters, times: period * (12 * max(1, characters // (12 * width)) * times) + end


def two_halves(first: str, second: str) -> Shape:
    """One period, then another: what the first asks for the second withholds."""
    halves = periodic(first), periodic(second)
    return lambda characters, times: "".join(half(characters // 2, times) for half in halves)


def fixed_shapes() -> Iterator[tuple[str, Shape]]:
    """The shapes with their names; each period has one of the ends."""
    for place, period in enumerate(_PERIODS):
        end = _ENDS[place % len(_ENDS)]
        yield f"{period!r} {end!r}", periodic(period, end)
    for period, end in _NEAR_MISSES:
        yield f"{period!r} {end!r}", periodic(period, end)
    yield "marks in the wrong order", two_halves("\u0301", "\u0323")


def random_shape(seed: int) -> tuple[str, Shape]:
    """A short random period, or two of them, with an end."""
    rng = random.Random(seed)
    periods = ["".join(rng.choices(_ATOMS, k=rng.randint(1, 4))) for _ in range(rng.choice((1, 1, 2)))]
    if len(periods) == 2:
        return f"seed {seed}: {periods}", two_halves(*periods)
    end = rng.choice(_ENDS)
    return f"seed {seed}: {periods[0]!r} {end!r}", periodic(periods[0], end)
