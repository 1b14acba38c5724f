"""Cells as spreadsheets and exports write them."""

from __future__ import annotations

import math

import pytest

from ferroflux.ingest import values


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (12, 12.0),
        (12.5, 12.5),
        ("12.50", 12.5),
        ("$ 1,234.50", 1234.5),
        ("1.234,50", 1234.5),
        ("1,234", 1234.0),
        ("1,5", 1.5),
        ("12,50 MXN", 12.5),
        ("US$ 3", 3.0),
        ("-4", -4.0),
        ("€ 7", 7.0),
        ("", None),
        ("N/A", None),
        (None, None),
        (math.nan, None),
    ],
)
def test_a_number_is_read_as_people_write_it(cell, expected) -> None:
    assert values.number(cell) == expected


@pytest.mark.parametrize(("cell", "expected"), [("1.234", 1234.0), ("1.234,50", 1234.5), ("0,75", 0.75)])
def test_with_a_decimal_comma_the_point_groups(cell, expected) -> None:
    assert values.number(cell, decimal_comma=True) == expected


@pytest.mark.parametrize("cell", ["doce", "1.2.3", "12 pulgadas", True, math.inf, "--"])
def test_what_is_no_number_is_refused(cell) -> None:
    with pytest.raises(values.CellError):
        values.number(cell)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("uno|dos", ["uno", "dos"]),
        ('["a", "b"]', ["a", "b"]),
        (["a", None, 7501.0], ["a", "7501"]),
        ("una línea\notra", ["una línea", "otra"]),
        ("[Fuerte] no se dobla", ["[Fuerte] no se dobla"]),
        (None, []),
    ],
)
def test_several_texts(cell, expected) -> None:
    assert values.texts(cell) == expected


def test_a_semicolon_may_be_a_part_of_a_sentence() -> None:
    assert values.sentences("Fuerte; ligero\nDura años") == ["Fuerte; ligero", "Dura años"]


@pytest.mark.parametrize(
    ("cell", "expected"), [(["Casa", "Baño"], "Casa > Baño"), (7501.0, "7501"), (" x ", "x"), (3.5, "3.5")]
)
def test_one_text(cell, expected) -> None:
    assert values.text(cell) == expected
