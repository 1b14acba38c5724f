"""Columns are recognised, rows become events, and a bad row says why."""

from __future__ import annotations

import orjson
import pytest

from ferroflux.ingest.columns import ColumnMapping
from ferroflux.ingest.convert import Converted, Rejected, RowConverter
from ferroflux.ingest.rows import Row, UnreadableRow
from schemas.errors import InvalidMappingError


def convert(cells: dict, *, number: int = 0, mapping: ColumnMapping | None = None, **options):
    return RowConverter(mapping or ColumnMapping({}), 1000, **{"tenant": "shop", **options}).convert(
        Row(number + 2, cells), number
    )


def events(converted) -> list[dict]:
    assert isinstance(converted, Converted), converted
    return [orjson.loads(change.value) for change in converted.changes]


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("CÓDIGO", "sku"),
        ("Código de Barras", "ean"),
        ("nombre_producto", "title"),
        ("Marca", "brand"),
        ("Categoría", "category"),
        ("Número de Parte", "part_number"),
        ("PRECIO", "price"),
        ("Existencias", "stock"),
        ("Unidad de Medida", "unit"),
        ("image_url", "image"),
        ("Short Description", "title"),
    ],
)
def test_a_column_is_recognised_whatever_its_spelling(header, field) -> None:
    assert ColumnMapping({}).resolve([header]).columns == {field: header}


def test_of_two_candidates_the_surer_name_wins_and_the_other_becomes_an_attribute() -> None:
    resolved = ColumnMapping({}).resolve(["referencia", "sku", "color"])
    assert resolved.columns == {"sku": "sku"}
    assert resolved.extra == ("referencia", "color")


def test_the_users_word_wins_and_an_empty_column_leaves_a_field_out() -> None:
    resolved = ColumnMapping.of(["title=NOMBRE_ART", "brand="]).resolve(["sku", "title", "NOMBRE_ART", "brand"])
    assert resolved.columns == {"sku": "sku", "title": "NOMBRE_ART"}
    assert resolved.extra == ("title", "brand")


@pytest.mark.parametrize(("pair", "said"), [("titel=X", "no field 'titel'"), ("title", "not of the form")])
def test_a_wrong_mapping_is_refused_with_the_fields_that_there_are(pair, said) -> None:
    with pytest.raises(InvalidMappingError, match=said):
        ColumnMapping.of([pair])


def test_a_mapping_file_and_options_add_up(tmp_path) -> None:
    file = tmp_path / "columns.yaml"
    file.write_text("title: NOMBRE\nprice: PVP\n", encoding="utf-8")
    assert ColumnMapping.of(["price=OFERTA"], file).chosen == {"title": "NOMBRE", "price": "OFERTA"}


def test_a_row_becomes_its_item_price_and_stock() -> None:
    converted = convert(
        {"codigo": 7.0, "titulo": "Clavo 2 pulgadas", "precio": "$1,200.50", "existencia": "3", "color": "negro"},
        currency="MXN",
    )
    item, price, stock = events(converted)
    assert (item["tenant"], item["sku"], item["facet"]) == ("shop", "7", "item")
    assert item["fields"] == {"title": "Clavo 2 pulgadas", "attributes": {"color": "negro"}}
    assert (price["facet"], price["fields"]) == ("price", {"price": 1200.5, "currency": "MXN"})
    assert (stock["facet"], stock["fields"]) == ("stock", {"stock": 3.0})
    assert {event["version"]["sequence"] for event in (item, price, stock)} == {1000}


def test_an_empty_price_says_nothing() -> None:
    assert [event["facet"] for event in events(convert({"sku": "A", "title": "x", "price": "", "stock": None}))] == [
        "item"
    ]


def test_a_row_further_down_is_newer_and_a_column_may_say_otherwise() -> None:
    assert events(convert({"sku": "A", "title": "x"}, number=41))[0]["version"]["sequence"] == 1041
    assert events(convert({"sku": "A", "title": "x", "lsn": "77"}, number=41))[0]["version"]["sequence"] == 77


@pytest.mark.parametrize(
    ("cells", "options", "reason"),
    [
        ({"title": "x"}, {}, "no SKU"),
        ({"sku": "A"}, {}, "no title"),
        ({"sku": "A", "title": "x"}, {"tenant": ""}, "no tenant"),
        ({"sku": "A", "title": "x", "price": "gratis"}, {}, "price: 'gratis' is not a number"),
        ({"sku": "A", "title": "x", "price": "-1"}, {}, "price"),
        ({"sku": "A", "title": "x", "attributes": "{rojo"}, {}, "attributes: '{rojo' is not valid JSON"),
        ({"sku": "A\x00B", "title": "x"}, {}, "sku"),
        ({"sku": "A", "title": "x", "lsn": "-3"}, {}, "sequence '-3'"),
    ],
)
def test_a_bad_row_is_rejected_with_its_line_and_reason(cells, options, reason) -> None:
    rejected = convert(cells, number=5, **options)
    assert isinstance(rejected, Rejected)
    assert rejected.line == 7
    assert reason in rejected.reason


def test_an_unreadable_row_stays_as_it_is() -> None:
    converter = RowConverter(ColumnMapping({}), 1)
    assert converter.convert(UnreadableRow(3, "{x", "not valid JSON"), 2) == Rejected(3, "{x", "not valid JSON")


@pytest.mark.parametrize("digits", ["9" * 5_000, "1e" + "9" * 5_000, "1e999999999", "٣" * 5_000, "1," * 2_000 + "1"])
@pytest.mark.parametrize("column", ["price", "stock", "lsn"])
def test_a_number_of_any_length_costs_its_row_only(column, digits):
    assert isinstance(convert({"sku": "1", "title": "Tubo", column: digits}), Rejected)
