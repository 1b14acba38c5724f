"""The lexer finds what one pattern says that has all kinds in order; that pattern is plain, and quadratic."""

import random
import re

import pytest

from retrieval.analysis import expansion, lexer
from retrieval.analysis.lexer import LexemeKind, lexemes
from retrieval.analysis.measures import UNIT, VALUE

PLAIN = {
    **lexer._PATTERNS,
    LexemeKind.DIMENSIONS: rf"{lexer._SIDE}(?:\s*[x*]\s*{lexer._SIDE})+{lexer._END}",
    LexemeKind.CODE: r"(?=[a-z-]*\d|[^\W_]+[-./+_]\d)[^\W_]+(?:[-./+_][^\W_]+)*",
}
SPECIFIED = re.compile(r"(?<![^\W_])(?:" + "|".join(f"(?P<{kind}>{PLAIN[kind]})" for kind in LexemeKind) + ")")
RANGE = re.compile(rf"{VALUE}{UNIT}?(?:\s*[-/+]\s*{VALUE}{UNIT}?)+")
ATOMS = (
    *(
        "1",
        "2",
        "12",
        "8",
        "m",
        "x",
        "*",
        "x ",
        " x",
        "-",
        "--",
        ".",
        ",",
        "/",
        " ",
        " ",
        '"',
        "'",
        "#",
        "a",
        "ab",
        "mm",
        "cm",
        "y",
        "q",
        "_",
        "(",
    ),
    *(
        "1/2",
        "3/4",
        "1 1/2",
        "1-1/2",
        "npt",
        "cal.",
        "n.",
        "c/",
        "abc",
        "\u0436",
        "+",
        "m8",
        "8m",
        "'s",
        "kg",
        "grano",
        "\u03a9",
        "\u00b2",
        "\u0663",
    ),
)


def short_texts(seed, count):
    rng = random.Random(seed)
    for _ in range(count):
        atoms = rng.sample(ATOMS, rng.randint(2, 6)) if rng.random() < 0.7 else ATOMS
        yield "".join(rng.choices(atoms, k=rng.randint(2, 12)))


@pytest.mark.parametrize("seed", range(3))
def test_lexemes_are_those_of_the_plain_pattern(seed):
    for text in short_texts(seed, 1_500):
        expected = [(found.lastgroup, found[0], found.start()) for found in SPECIFIED.finditer(text)]
        assert [(str(one.kind), one.text, one.start) for one in lexemes(text)] == expected, text


def test_a_range_is_what_values_with_signs_between_are():
    texts = {
        one.text
        for seed in range(2)
        for text in short_texts(seed, 1_500)
        for one in lexemes(text)
        if one.kind is LexemeKind.CODE
    }
    assert len(texts) > 500
    for text in texts:
        assert bool(expansion._RANGE.fullmatch(text)) == bool(RANGE.fullmatch(text)), text


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("1x1 x1x1", ["dimensions"]),
        ("1x1 x 1q", ["dimensions", "word", "code"]),
        ("1x 1x 1q", ["code", "code", "code"]),
        ("abc--1", ["code", "quantity"]),
        ("abc--d", ["word", "word"]),
        ("#1x #1x", ["code", "code"]),
    ],
)
def test_what_looks_far_ahead_decides_the_kind(text, kinds):
    assert [str(one.kind) for one in lexemes(text)] == kinds
