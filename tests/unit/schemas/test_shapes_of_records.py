"""One change in the shapes that connectors, exporters and editors give it: read alike, or refused with the remedy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidEventError, UnparsableEventError
from schemas.events.parser import Changes, EventParser, Ignored
from schemas.mapping.compiled import compile_mapping
from schemas.mapping.loading import parse_mapping
from schemas.mapping.spelling import ColumnSpelling, folded

BOM = b"\xef\xbb\xbf"
PARSER = EventParser()
CANONICAL = {"sku": "A-1", "version": 5, "fields": {"title": "Tee 1/2"}}


def row_change(after: Any, *, op: str = "c", before: Any = None, **source: Any) -> dict[str, Any]:
    origin = {"connector": "postgresql", "name": "erp", "db": "erp", "schema": "public", "table": "productos", "lsn": 5}
    return {"op": op, "before": before, "after": after, "source": origin | source}


def read(value: Any, key: bytes | None = None, parser: EventParser = PARSER) -> list[tuple[str, dict[str, Any] | None]]:
    raw = value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode()
    parsed = parser.parse(key, raw)
    assert isinstance(parsed, Changes), parsed
    return [(event.key.sku, None if event.fields is None else dict(event.fields)) for event in parsed.events]


@pytest.mark.parametrize(
    "columns",
    [
        ("codigo", "nombre", "precio"),
        ("CODIGO", "NOMBRE", "PRECIO"),
        ("Codigo", "Nombre", "Precio"),
        ("Código", "NOMBRE", "précio"),
        ("co\u0301digo", "nombre ", "PRECIO"),
    ],
)
def test_columns_are_the_mappings_whatever_their_case_and_accents(columns):
    sku, title, price = columns
    row = {sku: "T1", title: "Tornillo", price: "10.50"}
    assert read(row_change(row)) == [("T1", {"title": "Tornillo", "price": 10.5})]
    assert read(row_change(None, op="d", before={title: "Tornillo"}), json.dumps({sku: "T1"}).encode()) == [
        ("T1", None)
    ]
    moved = row_change({**row, sku: "T2"}, op="u", before=row)
    assert read(moved) == [("T1", None), ("T2", {"title": "Tornillo", "price": 10.5})]


def test_a_column_that_is_spelt_exactly_goes_before_one_that_is_folded_alike():
    row = {"SKU": "wrong", "sku": "T1", "Nombre": "Tornillo"}
    [(sku, fields)] = read(row_change(row))
    assert (sku, fields) == ("T1", {"title": "Tornillo", "attributes.SKU": "wrong"})


def test_types_of_the_schema_envelope_are_found_under_either_spelling():
    fields = [{"field": "PRECIO", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}}]  # fmt: skip
    schema = {"type": "struct", "fields": [{"field": "after", "type": "struct", "fields": fields}]}
    change = {"schema": schema, "payload": row_change({"CODIGO": "T1", "PRECIO": "BBo="})}
    assert read(change) == [("T1", {"price": 10.5})]


def test_a_type_of_the_schema_envelope_is_of_the_column_that_it_names_and_of_no_other():
    fields = [{"field": "PRECIO", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": {"scale": "2"}}]  # fmt: skip
    schema = {"type": "struct", "fields": [{"field": "after", "type": "struct", "fields": fields}]}
    change = {"schema": schema, "payload": row_change({"codigo": "T1", "PRECIO": "BBo=", "precio": "7.5"})}
    assert read(change) == [("T1", {"price": 7.5, "attributes.PRECIO": 10.5})]


def test_deleted_when_and_templates_read_by_the_mappings_spelling_too():
    mapping = """
tables:
  - facet: item
    sku: {template: "{familia}-{numero}"}
    fields: {title: nombre}
    deleted_when: {column: borrado, equals: 1}
"""
    parser = EventParser(compile_mapping(parse_mapping(mapping)))
    row = {"FAMILIA": "TUB", "Número": 7, "Nombre": "Tubo", "BORRADO": 0}
    assert read(row_change(row), parser=parser) == [("TUB-7", {"title": "Tubo"})]
    assert read(row_change({**row, "BORRADO": 1}), parser=parser) == [("TUB-7", None)]


@given(st.lists(st.text(max_size=8), unique=True, max_size=8), st.lists(st.text(max_size=8), unique=True, max_size=8))
def test_no_column_is_lost_and_none_takes_anothers_place(mapped, columns):
    row = dict.fromkeys(columns, 0) | {column: number for number, column in enumerate(columns)}
    spelt = ColumnSpelling(mapped).of(row)
    assert sorted(spelt.values()) == sorted(row.values())
    for column, number in row.items():
        [name] = [name for name, value in spelt.items() if value == number]
        assert name == column or (name in mapped and folded(name) == folded(column) and name not in row)


@pytest.mark.parametrize(
    "value", [CANONICAL, {"schema": None, "payload": CANONICAL}, row_change({"sku": "A-1", "title": "Tee 1/2"})]
)
def test_a_byte_order_mark_is_no_part_of_a_record(value):
    assert read(BOM + json.dumps(value).encode()) == [("A-1", {"title": "Tee 1/2"})]


def test_nor_of_its_key():
    assert read(row_change(None, op="d"), BOM + b'{"sku": "A-1"}') == [("A-1", None)]


@pytest.mark.parametrize(
    "value",
    [
        json.dumps(CANONICAL),
        {"schema": {"type": "string", "optional": True}, "payload": json.dumps(CANONICAL)},
        {"payload": json.dumps(row_change({"sku": "A-1", "title": "Tee 1/2"}))},
    ],
)
def test_an_event_that_comes_as_text_within_json_is_read(value):
    assert read(value) == [("A-1", {"title": "Tee 1/2"})]


@pytest.mark.parametrize(
    "value", ["hola", json.dumps(json.dumps(CANONICAL)), {"payload": "hola"}, {"payload": json.dumps("hola")}]
)
def test_text_that_holds_no_event_is_refused_with_the_routers_setting(value):
    with pytest.raises(UnparsableEventError, match=r"expand\.json\.payload"):
        PARSER.parse(None, json.dumps(value).encode())


def test_a_row_of_mongodb_is_json_text_with_types_of_its_own():
    row = {
        "_id": {"$oid": "5f0c"},
        "sku": "A-1",
        "nombre": "Tee",
        "precio": {"$numberDecimal": "12.5"},
        "stock": {"$numberLong": "5"},
        "peso": {"$numberDouble": "NaN"},
    }
    change = row_change(json.dumps(row), connector="mongodb", ts_ms=1_760_000_000_000)
    [(sku, fields)] = read(change)
    assert sku == "A-1"
    assert fields is not None
    assert {"title": "Tee", "price": 12.5, "stock": 5, "attributes._id": "5f0c"}.items() <= fields.items()


OUTBOX = {
    "id": "6f1c",
    "aggregatetype": "product",
    "aggregateid": "A-1",
    "type": "ProductUpdated",
    "payload": '{"sku":"A-1"}',
}


@pytest.mark.parametrize("row", [OUTBOX, {name.upper(): value for name, value in OUTBOX.items()}])
def test_a_row_of_an_outbox_table_is_refused_with_the_router_that_opens_it(row):
    with pytest.raises(InvalidEventError, match="EventRouter"):
        read(row_change(row, table="outbox_event"))


def test_nor_does_its_deletion_delete_a_product():
    with pytest.raises(InvalidEventError, match="EventRouter"):
        read(row_change(None, op="d", before={**dict.fromkeys(OUTBOX), "id": "6f1c"}), b'{"id": "6f1c"}')


def test_a_mapping_that_names_the_columns_of_an_outbox_table_has_its_rows():
    mapping = "tables: [{facet: item, sku: aggregateid, fields: {title: payload}, rest: ignore}]"
    parser = EventParser(compile_mapping(parse_mapping(mapping)))
    assert read(row_change(OUTBOX), parser=parser) == [("A-1", {"title": '{"sku":"A-1"}'})]


def test_a_row_of_the_signalling_table_is_no_product():
    row = {"ID": "snap-1", "TYPE": "execute-snapshot", "DATA": '{"data-collections": ["public.productos"]}'}
    parsed = PARSER.parse(None, json.dumps(row_change(row, table="debezium_signal")).encode())
    assert isinstance(parsed, Ignored)
    assert "signal" in parsed.reason


@pytest.mark.parametrize("ts_ms", [0, -1, None])
def test_a_time_that_is_not_positive_is_unknown_and_no_rejection(ts_ms):
    assert read(row_change({"sku": "A-1", "title": "Tee"}, ts_ms=ts_ms) | {"ts_ms": ts_ms}) == [
        ("A-1", {"title": "Tee"})
    ]


def test_what_a_schema_registry_framed_is_refused_by_that_name_with_the_remedy():
    with pytest.raises(UnparsableEventError, match=r"Avro or Protobuf.*JsonConverter"):
        PARSER.parse(None, b"\x00\x00\x00\x00\x07\x06A-1")
