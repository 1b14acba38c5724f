"""The fields of a row: the one form of each value, and what is refused with which words."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidEventError
from schemas.normalisers import MAX_TITLE
from schemas.product.fields import normalise_fields


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"title": '  Tornillo\t1/2" '}, {"title": 'Tornillo 1/2"'}),
        ({"title": None, "brand": "", "bullets": [], "attributes": {}, "price": None}, {}),
        ({"description": "one\ntwo\x00"}, {"description": "one\ntwo"}),
        (
            {"part_number": 100, "ean": 7501234567890, "title": 3.5},
            {"part_number": "100", "ean": ["7501234567890"], "title": "3.5"},
        ),
        ({"ean": ["750", None, " ", "750", 751]}, {"ean": ["750", "751"]}),
        ({"price": 12, "stock": "-3", "currency": "mxn"}, {"price": 12.0, "stock": -3.0, "currency": "MXN"}),
        ({"price": "12.50"}, {"price": 12.5}),
        ({"price": -0.0, "stock": " "}, {"price": 0.0}),
        ({"category": ["Herramienta", None, "Pinzas"]}, {"category": "Herramienta > Pinzas"}),
        ({"image": "a.jpg", "images": ["b.jpg", "a.jpg"]}, {"images": ["a.jpg", "b.jpg"]}),
        ({"images": ["b.jpg"], "image": "a.jpg"}, {"images": ["a.jpg", "b.jpg"]}),
        (
            {"attributes": {"color": "rojo", "peso": 3, "nuevo": True, "usos": ["a", 2], "x": None, "id": 2**60}},
            {"attributes": {"color": "rojo", "peso": 3.0, "nuevo": True, "usos": "a, 2", "id": str(2**60)}},
        ),
        ({"attributes.color": " rojo "}, {"attributes.color": "rojo"}),
    ],
)
def test_each_value_has_one_form(raw, expected):
    normal = normalise_fields("item", raw)
    assert normal == expected
    assert normalise_fields("item", normal) == expected
    assert [str(value) for value in normal.values()] == [str(value) for value in expected.values()]


@pytest.mark.parametrize(
    ("facet", "raw", "words"),
    [
        ("item", {"titel": "x"}, "did you mean 'title'"),
        ("item", {"weight": 1}, "belongs under 'attributes'"),
        ("price", {"stock": 1}, "facet 'price' has no field 'stock'"),
        ("popularity", {}, "none of item, price, stock"),
        ("item", {"title": ["a"]}, "'title' is not text but a list"),
        ("item", {"title": True}, "not text but a boolean"),
        ("item", {"title": "x" * (MAX_TITLE + 1)}, "more than 2000"),
        ("item", {"title": "\ud800"}, "not valid Unicode"),
        ("item", {"bullets": ["x"] * 101}, "more than 100"),
        ("item", {"price": -1}, "not between 0 and 1e\\+12"),
        ("item", {"price": float("nan")}, "not between"),
        ("item", {"price": float("inf")}, "not between"),
        ("item", {"price": "1e999"}, "beyond every number"),
        ("item", {"price": "12,50"}, "not a decimal number with a point: '12,50'"),
        ("item", {"price": "0x10"}, "not a decimal"),
        ("item", {"price": True}, "not a number but a boolean"),
        ("stock", {"stock": "many"}, "'stock' is not a decimal"),
        ("item", {"attributes": []}, "not an object but a list"),
        ("item", {"attributes": {"a": {"b": 1}}}, "member 'a' that is not text but an object"),
        ("item", {"attributes": {"": 1}}, "attribute name"),
        ("item", {"attributes": {str(n): n for n in range(301)}}, "more than 300"),
        ("item", {"attributes.": 1}, "attribute name"),
        ("item", {f"attributes.{n}": n for n in range(301)}, "the row has 301 fields"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(facet, raw, words):
    with pytest.raises(InvalidEventError, match=words):
        normalise_fields(facet, raw)


@given(st.decimals(min_value=0, max_value=10**9, places=4))
def test_a_price_of_normal_size_is_exact(amount):
    price = normalise_fields("price", {"price": str(amount)})["price"]
    assert Decimal(repr(price)) == amount
