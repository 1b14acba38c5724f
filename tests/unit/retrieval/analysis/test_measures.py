"""Sizes: how numbers are read, and the token that equal sizes share."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.analysis.measures import INCH, UNITS, written_number
from retrieval.analysis.pipeline import analyse


@pytest.mark.parametrize(
    ("written", "spelling", "value"),
    [
        ("1/2", "1/2", Fraction(1, 2)),
        ("1 1/2", "1-1/2", Fraction(3, 2)),
        ("1.1/2", "1-1/2", Fraction(3, 2)),
        ("1-1/2", "1-1/2", Fraction(3, 2)),
        ("1 y 1/2", "1-1/2", Fraction(3, 2)),
        ("2,50", "2.5", Fraction(5, 2)),
        ("2.500", "2.5", Fraction(5, 2)),
        (".61", "0.61", Fraction(61, 100)),
        ("1,000", "1000", Fraction(1000)),
        ("0,125", "0.125", Fraction(1, 8)),
        ("007", "7", Fraction(7)),
        ("7791234567890", "7791234567890", Fraction(7791234567890)),
    ],
)
def test_numbers_have_one_spelling_and_an_exact_value(written, spelling, value):
    read = written_number(written)
    assert (read.spelling, read.value) == (spelling, value)


@pytest.mark.parametrize(
    ("sizes", "token"),
    [
        (['1/2 "', "0.5 in", "12.7 mm", "1.27 cm", "12,7 milimetros"], "12.7mm"),
        (["3 m", "300 cm", "3000 mm", "3 mts"], "3000mm"),
        (["1 kg", "1000 gr", "1 kilo"], "1kg"),
        (["1 l", "1000 ml", "1000 cc", "1 lts"], "1l"),
        (["1 kw", "1000 watts"], "1000w"),
        (["5/64 in"], "1.984mm"),
        (["1 gal"], "3.785l"),
    ],
)
def test_equal_sizes_share_a_token(sizes, token):
    for size in sizes:
        number, unit = size.rsplit(" ", 1)
        assert written_number(number).in_unit(UNITS[unit]) == token


@given(st.integers(1, 60), st.sampled_from([2, 4, 8, 16, 32, 64]), st.integers(0, 20))
def test_a_fraction_is_the_size_of_its_decimal(above, below, whole):
    written = f"{whole} {above}/{below}" if whole else f"{above}/{below}"
    decimal = f"{float(whole + Fraction(above, below)):f}"
    assert written_number(written).in_unit(INCH) == written_number(decimal).in_unit(INCH)


@pytest.mark.parametrize("digits", [4_000, 4_001, 5_000, 100_000])
@pytest.mark.parametrize(
    "behind", ["", " mm", ' "', " m", "/2", " x 3 mm", " npt", "q", ".5", ",5 kg", "-7", "e999999999"]
)
def test_a_number_of_any_length_is_analysed(digits, behind):
    tokens = analyse("#" * (digits % 2) + "9" * digits + behind).tokens
    assert any(token.text.startswith("9" * digits) for token in tokens)


def test_a_number_that_is_too_long_has_no_value():
    read = written_number("9" * 4_001)
    assert (read.value, read.is_whole, read.spelling) == (None, True, "9" * 4_001)
    assert written_number("9" * 4_000).in_unit(UNITS["m"]) == "9" * 4_000 + "000mm"
