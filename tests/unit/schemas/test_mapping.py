"""The mapping file: what an entry does to a row, and how an error names the entry."""

import json

import jsonschema
import pytest
import yaml

from schemas.errors import InvalidEventError, InvalidMappingError, MissingKeyError
from schemas.events.parser import Changes, EventParser
from schemas.export import FOLDER
from schemas.mapping import loading
from schemas.mapping.compiled import compile_mapping
from schemas.mapping.loading import load_mapping, parse_mapping
from schemas.mapping.matching import TableName

SCHEMA = jsonschema.Draft202012Validator(json.loads((FOLDER / "mapping.json").read_text(encoding="utf-8")))

WAREHOUSE = """
tenant: ferre-mx
ignore:
  - {table: audit_*}
sources:
  - {match: {connector: mysql}, epoch: 1}
tables:
  - name: articulos
    match: {connector: mysql, database: erp, table: [articulos, "articulos_*"]}
    tenant: {column: empresa, names: {"1": norte, "2": sur}}
    sku: {template: "{linea}-{codigo}"}
    deleted_when: {column: activo, equals: false}
    fields:
      title: {template: "{nombre} {medida}"}
      description: [descripcion_larga, descripcion]
      bullets: {first_of: [punto1, punto2], type: text}
      price: {column: precio, type: decimal, scale: 2}
      currency: {constant: mxn}
      ean: {column: codigos, type: list, separator: ";"}
      attributes: {column: ficha, type: json}
      attributes.garantia: {column: garantia, type: integer}
      attributes.alta: {column: alta, type: date}
      attributes.nuevo: {column: nuevo, type: boolean}
      attributes.visto: {column: visto, type: timestamp, unit: ms}
  - name: existencias
    match: {table: existencias}
    facet: stock
    instance: sucursal
    tenant: ferre-sur
    sku: articulo
    fields: {stock: cantidad}
  - name: bajas
    match: {table: bajas}
    sku: id
    rest: attributes
    deleted_when: {column: borrado_en, is_set: true}
documents: {price_list: publico, stock_from: [norte, sur]}
"""
ROW = {
    "empresa": 2, "linea": "TOR", "codigo": 15, "activo": 1, "nombre": "Tornillo", "medida": '1/2"', "descripcion_larga": "",
    "descripcion": "Acero", "punto1": "Fuerte", "punto2": "Barato", "precio": "12.349", "codigos": "750; 751", "ficha": '{"color": "negro"}',
    "garantia": "12", "alta": 19109, "nuevo": "si", "visto": 1_651_069_800_000, "interno": "x",
}  # fmt: skip


def parser(text: str) -> EventParser:
    return EventParser(compile_mapping(parse_mapping(text)))


def record(table: str, after: dict, connector: str = "mysql", op: str = "c", **more) -> bytes:
    source = {
        "connector": connector,
        "name": "erp",
        "db": "erp",
        "table": table,
        "file": "b.000001",
        "pos": 4,
        "row": 0,
        "lsn": 5,
        "ts_ms": 1,
    }
    return json.dumps({"before": None, "after": after, "op": op, "source": source, **more}).encode()


def only(text: str, value: bytes, key: bytes | None = None):
    parsed = parser(text).parse(key, value)
    assert isinstance(parsed, Changes)
    [event] = parsed.events
    return event


def test_an_entry_brings_a_row_to_its_facet():
    event = only(WAREHOUSE, record("articulos", ROW))
    assert str(event.key) == "sur/TOR-15"
    assert event.version.epoch == 1
    assert event.fields == {
        "title": 'Tornillo 1/2"',
        "description": "Acero",
        "bullets": ["Fuerte", "Barato"],
        "price": 12.35,
        "currency": "MXN",
        "ean": ["750", "751"],
        "attributes": {"color": "negro"},
        "attributes.garantia": 12.0,
        "attributes.alta": "2022-04-27",
        "attributes.nuevo": True,
        "attributes.visto": "2022-04-27T14:30:00",
    }


def test_rows_of_one_sku_are_told_apart_by_their_instance():
    event = only(WAREHOUSE, record("existencias", {"articulo": "A", "sucursal": "centro", "cantidad": 4}))
    assert (str(event.key), event.facet, event.fields) == ("ferre-sur/A", "stock:centro", {"stock": 4.0})


@pytest.mark.parametrize("active", [0, False, "f", "0", "FALSE", 0.0])
def test_a_row_that_counts_as_deleted_is_a_deletion(active):
    assert only(WAREHOUSE, record("articulos_viejos", {**ROW, "activo": active}, op="u")).is_delete


@pytest.mark.parametrize(
    ("value", "deleted"), [(None, False), ("", False), (1_700_000_000, True), ("2026-01-01", True)]
)
def test_a_deletion_date_that_is_set_deletes(value, deleted):
    assert only(WAREHOUSE, record("bajas", {"id": 1, "borrado_en": value}, op="u")).is_delete is deleted


def test_an_entry_without_a_tenant_takes_the_files():
    assert only(WAREHOUSE, record("bajas", {"id": 1})).key.tenant == "ferre-mx"


def test_the_document_policy_is_the_files():
    policy = compile_mapping(parse_mapping(WAREHOUSE)).policy
    assert (policy.price_list, policy.stock_from) == ("publico", frozenset({"norte", "sur"}))


def test_a_column_that_the_mapping_names_must_be_in_the_row():
    row = {name: value for name, value in ROW.items() if name != "precio"}
    with pytest.raises(InvalidEventError, match="no column 'precio', which the mapping names for field 'price'"):
        parser(WAREHOUSE).parse(None, record("articulos", row))


def test_a_deletion_whose_key_lacks_the_place_is_refused():
    with pytest.raises(MissingKeyError, match="'sucursal', which holds the instance of stock, is not in the row"):
        parser(WAREHOUSE).parse(b'{"articulo":"A"}', record("existencias", None, op="d"))


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("precio", "12,5", "column 'precio' .field 'price'. is not a decimal number.*decimal.handling.mode"),
        ("precio", True, "not a decimal number"),
        ("garantia", "doce", "not a decimal number"),
        ("garantia", 1.5, "not an integer"),
        ("nuevo", "quizas", "neither yes nor no"),
        ("ficha", "{", "not JSON"),
        ("alta", 10**12, "out of range"),
        ("codigo", [1], "neither text nor an integer"),
    ],
)
def test_a_value_that_does_not_convert_is_refused_by_its_column(column, value, words):
    with pytest.raises(InvalidEventError, match=words):
        parser(WAREHOUSE).parse(None, record("articulos", {**ROW, column: value}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tables: [{name: a, fields: {title: n}}]", r"tables\[0\] 'a'.sku: Field required"),
        ("tables: [{sku: id}, {name: prices, sku: id, facet: color}]", r"tables\[1\] 'prices'.facet"),
        ("tables: [{sku: id, fields: {titel: n}}]", r"tables\[0\]: fields.titel: .*did you mean 'title'"),
        ("tables: [{sku: id, facet: price, fields: {title: n}}]", "has no field 'title'"),
        ("tables: [{sku: id, fields: {price: {constant: x}}}]", "fields.price: is not a decimal"),
        ("tables: [{sku: id, fields: {price: {column: p, scale: 2}}}]", "scale needs type decimal"),
        (
            "tables: [{sku: id, fields: {price: {column: p, type: decimal, encoding: base64}}}]",
            "needs type decimal and a scale",
        ),
        (
            "tables: [{sku: id, fields: {price: {column: p, first_of: [q]}}}]",
            "exactly one of column, first_of, template, constant",
        ),
        ("tables: [{sku: id, instance: b}]", "the item facet has no instances"),
        ("tables: [{sku: id, facet: stock, rest: attributes}]", "only the item facet"),
        ("tables: [{sku: {template: 'x'}}]", "names no column"),
        ("tables: [{sku: {template: '{a.b}'}}]", "plain column names"),
        ("tables: [{sku: {template: '{'}}]", "tables"),
        ("tables: [{sku: {constant: x}}]", "the same for every row"),
        ("tables: [{sku: id, tenant: 'a b'}]", "tenant 'a b'"),
        ("tables: [{sku: id, deleted_when: {column: x}}]", "either equals or is_set"),
        ("tenant: a/b", "tenant: tenant 'a/b'"),
        ("sources: [{epoch: -1}]", r"sources\[0\].epoch"),
        ("documents: {stock: sum}", "documents.stock: Extra inputs"),
        ("- a\n- b", "the mapping: Input should be"),
        ("a: [", "not YAML"),
        ("\x00", "not YAML"),
    ],
)
def test_an_error_names_its_entry(text, words):
    with pytest.raises(InvalidMappingError, match=words):
        compile_mapping(parse_mapping(text))


def test_a_file_that_cannot_be_read_is_an_error_of_the_mapping(tmp_path):
    with pytest.raises(InvalidMappingError, match="cannot be read"):
        load_mapping(tmp_path / "none.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidMappingError, match="cannot be read"):
        load_mapping(binary)


def test_the_default_mapping_and_the_example_are_valid_by_the_schema_too():
    SCHEMA.validate(yaml.safe_load(WAREHOUSE))
    SCHEMA.validate(yaml.safe_load(loading.default_text()))


def test_an_empty_file_maps_nothing():
    mapping = compile_mapping(parse_mapping(""))
    assert mapping.resolve(TableName("mysql", "", "", "", "x"))[0] is None


@pytest.mark.parametrize(
    ("table", "row", "facet", "fields"),
    [
        (
            "productos",
            {"codigo": "A", "nombre": "Pinza", "precio": 5, "existencia": 2, "codigo_barras": "750"},
            "item",
            {"title": "Pinza", "price": 5.0, "stock": 2.0, "ean": ["750"]},
        ),
        (
            "precios",
            {"codigo": "A", "lista": "mayoreo", "precio": "4.5", "moneda": "MXN"},
            "price:mayoreo",
            {"price": 4.5, "currency": "MXN"},
        ),
        ("product_prices", {"product_id": 9, "price": 4}, "price", {"price": 4.0}),
        ("existencias", {"sku": "A", "sucursal": "norte", "cantidad": 3}, "stock:norte", {"stock": 3.0}),
        ("inventory_levels", {"sku": "A", "on_hand": 3}, "stock", {"stock": 3.0}),
    ],
)
def test_the_default_mapping_knows_conventional_names(table, row, facet, fields):
    parsed = EventParser().parse(None, record(table, row))
    [event] = parsed.events
    assert (event.facet, event.fields) == (facet, fields)


def test_the_default_mapping_takes_the_tenant_from_its_column_or_the_setting():
    tenant = EventParser(default_tenant="ferre").parse(None, record("products", {"id": 1})).events[0].key.tenant
    assert tenant == "ferre"
    assert EventParser().parse(None, record("products", {"id": 1, "tenant": "sur"})).events[0].key.tenant == "sur"


def test_the_default_mapping_refuses_a_deletion_whose_sku_column_is_empty():
    value = record("products", None, op="d", before={"id": 1, "sku": None})
    with pytest.raises(MissingKeyError, match="'sku'"):
        EventParser().parse(b'{"id":1}', value)
