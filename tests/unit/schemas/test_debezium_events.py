"""Debezium's shapes: operations, envelopes, replica identities, positions, encodings, and the records without rows."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InvalidEventError, MissingKeyError, PoisonError, UnmappedTableError, UnsupportedChangeError
from schemas.events.parser import Changes, EventParser, Ignored
from schemas.mapping.compiled import compile_mapping
from schemas.mapping.loading import parse_mapping
from schemas.mapping.positions import FIRST_BINLOG_SEQUENCE, pack_binlog

PARSER = EventParser()
PLACEHOLDER = "__debezium_unavailable_value"
POSTGRES = {
    "connector": "postgresql",
    "name": "wh",
    "db": "shop",
    "schema": "public",
    "table": "products",
    "snapshot": "false",
    "ts_ms": 1_700_000_000_123,
    "lsn": 987_654_321,
}
MYSQL = {
    "connector": "mysql",
    "name": "wh",
    "db": "shop",
    "table": "products",
    "snapshot": "false",
    "ts_ms": 1_700_000_000_000,
    "file": "mysql-bin.000007",
    "pos": 4242,
    "row": 3,
}


def change(
    op: str, after: Any = None, before: Any = None, source: dict[str, Any] = POSTGRES, **more: Any
) -> dict[str, Any]:
    return {"before": before, "after": after, "source": source, "op": op, "ts_ms": 1_700_000_000_500, **more}


def parse(value: Any, key: Any = None, parser: EventParser = PARSER) -> Any:
    return parser.parse(None if key is None else json.dumps(key).encode(), json.dumps(value).encode())


def only(value: Any, key: Any = None, parser: EventParser = PARSER) -> Any:
    parsed = parse(value, key, parser)
    assert isinstance(parsed, Changes)
    [event] = parsed.events
    return event


def with_mapping(text: str) -> EventParser:
    return EventParser(compile_mapping(parse_mapping(text)))


def field(name: str, kind: str, semantic: str | None = None, **parameters: str) -> dict[str, Any]:
    return {
        "field": name,
        "type": kind,
        **({"name": semantic} if semantic else {}),
        **({"parameters": parameters} if parameters else {}),
    }


def envelope(value: dict[str, Any], *fields: dict[str, Any]) -> dict[str, Any]:
    row = {"type": "struct", "fields": list(fields)}
    return {
        "schema": {"type": "struct", "fields": [{**row, "field": "before"}, {**row, "field": "after"}]},
        "payload": value,
    }


@pytest.mark.parametrize("op", ["c", "u", "r"])
@pytest.mark.parametrize("source", [POSTGRES, MYSQL])
def test_a_written_row_is_an_upsert_of_its_facet(op, source):
    event = only(change(op, {"sku": "A", "name": "Pinza", "marca": "Acme", "peso": 2}, source=source))
    assert str(event.key) == "default/A"
    assert event.fields == {"title": "Pinza", "brand": "Acme", "attributes.peso": 2.0}


def test_a_schema_envelope_makes_no_difference():
    bare = change("u", {"id": 1, "name": "Pinza"})
    assert parse(envelope(bare, field("id", "int32"), field("name", "string"))) == parse(bare)
    assert parse({"schema": None, "payload": bare}) == parse(bare)


@pytest.mark.parametrize(
    ("before", "key"),
    [
        ({"id": 7, "name": "x"}, None),
        ({"id": 7}, None),
        (None, {"id": 7}),
        (None, {"schema": {"type": "struct", "fields": [field("id", "int32")]}, "payload": {"id": 7}}),
        ({"id": 0, "name": None}, {"id": 7}),
        (
            None,
            {
                "schema": {"fields": [field("id", "bytes", "org.apache.kafka.connect.data.Decimal", scale="0")]},
                "payload": {"id": "Bw=="},
            },
        ),
    ],
)
def test_a_deletion_takes_its_sku_from_the_key_or_the_row_before(before, key):
    event = only(change("d", before=before), key)
    assert event.is_delete
    assert event.key.sku == "7"
    assert event.changed_at_us == 1_700_000_000_123_000


@pytest.mark.parametrize(
    ("before", "key"),
    [
        (None, None),
        (None, "Struct{id=7}"),
        (None, 7),
        (None, [7]),
        ({"name": "x"}, None),
        ({"id": None}, None),
        ({"id": ""}, None),
        (None, {"schema": {}, "payload": 7}),
    ],
)
def test_a_deletion_without_a_key_says_what_to_do(before, key):
    with pytest.raises(MissingKeyError, match=r"REPLICA IDENTITY FULL|may hold the sku"):
        parse(change("d", before=before), key)


def test_a_key_that_is_not_json_is_no_key():
    with pytest.raises(MissingKeyError):
        PARSER.parse(b"Struct{id=7}", json.dumps(change("d")).encode())


def test_a_changed_primary_key_is_the_delete_the_tombstone_and_the_create_that_debezium_sends():
    records = [
        (change("d", before={"id": 1}), {"id": 1}),
        (None, {"id": 1}),
        (change("c", {"id": 2, "name": "x"}), {"id": 2}),
    ]
    parsed = [parse(value, key) for value, key in records]
    assert parsed[0].events[0].is_delete
    assert isinstance(parsed[1], Ignored)
    assert parsed[2].events[0].key.sku == "2"


def test_a_row_that_moves_to_another_place_leaves_the_one_before():
    source = {**POSTGRES, "table": "stock"}
    parsed = parse(
        change("u", {"sku": "A", "branch": "south", "stock": 5}, {"sku": "A", "branch": "north", "stock": 5}, source)
    )
    assert [(event.facet, event.is_delete) for event in parsed.events] == [
        ("stock:north", True),
        ("stock:south", False),
    ]
    assert not parsed.is_delete


def test_a_row_before_that_lacks_the_identity_moves_nothing():
    assert only(change("u", {"sku": "A", "name": "x"}, {"sku": None, "name": ""})).fields == {"title": "x"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"source": MYSQL, "databaseName": "shop", "ddl": "ALTER TABLE products ADD x INT"}, "schema change"),
        ({"source": POSTGRES, "tableChanges": [], "ts_ms": 1}, "schema change"),
        ({"ts_ms": 1_700_000_000_000}, "heartbeat"),
        ({"status": "BEGIN", "id": "571", "event_count": None, "data_collections": None}, "transaction"),
        ({"status": "END", "id": "571", "event_count": 2, "data_collections": []}, "transaction"),
        ({"op": "m", "source": POSTGRES, "message": {"prefix": "x", "content": "eA=="}}, "logical decoding message"),
        (None, "tombstone"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_records_without_rows_are_ignored_with_their_reason(value, words, wrapped):
    parsed = parse({"schema": {"type": "struct"}, "payload": value} if wrapped else value)
    assert isinstance(parsed, Ignored)
    assert words in parsed.reason


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (change("t"), UnsupportedChangeError, "public.products was truncated"),
        (change("x", {"id": 1}), InvalidEventError, "none of Debezium's"),
        ({"source": POSTGRES, "after": {"id": 1}}, InvalidEventError, "none of Debezium's"),
        (change("c"), InvalidEventError, "'after' is not an object"),
        (change("c", {"name": "x"}), MissingKeyError, "may hold the sku"),
        (change("c", {"id": None, "name": "x"}), MissingKeyError, "'id'.*is empty"),
        (change("c", {"id": 1.5}), InvalidEventError, "neither text nor an integer"),
        (change("c", {"id": PLACEHOLDER}), MissingKeyError, "'id'"),
        (change("c", {"id": 1}, source="x"), InvalidEventError, "'source' is not an object"),
        (change("c", {"id": 1, "price": -4}), InvalidEventError, "column 'price' .field 'price'. is -4"),
        ({"schema": {}, "payload": [1]}, PoisonError, "payload is a list"),
    ],
)
def test_what_cannot_be_processed_is_refused_with_its_reason(value, error, words):
    with pytest.raises(error, match=words):
        parse(value)


# --- positions ---


def sequence(source: dict[str, Any], op: str = "u", mapping: str | None = None, **more: Any) -> int:
    parser = PARSER if mapping is None else with_mapping(mapping)
    return only(change(op, {"id": 1, "name": "x"}, source=source, **more), parser=parser).version.sequence


def test_postgres_counts_in_lsns_and_mysql_in_binlog_positions():
    assert sequence(POSTGRES) == 987_654_321
    assert sequence(MYSQL) == pack_binlog(7, 4242, 3) == (7 << 44) | (4242 << 12) | 3


@pytest.mark.parametrize(
    "lesser, greater", [((1, 2**32 - 1, 4095), (2, 0, 0)), ((1, 10, 4095), (1, 11, 0)), ((1, 1, 1), (1, 1, 2))]
)
def test_packed_positions_keep_the_binlogs_order(lesser, greater):
    assert pack_binlog(*lesser) < pack_binlog(*greater) < 2**64


def test_a_snapshot_of_mysql_without_a_position_ranks_below_every_position_and_by_time():
    snapshot = {**MYSQL, "file": "", "pos": 0, "row": 0}
    early = sequence(snapshot, "r", ts_ms=1_700_000_000_000)
    late = sequence({**snapshot, "snapshot": "true"}, "c", ts_ms=1_700_000_000_001)
    assert early < late < FIRST_BINLOG_SEQUENCE <= sequence({**MYSQL, "file": "bin.000001", "pos": 4, "row": 0})


def test_a_read_of_postgres_without_an_lsn_ranks_below_every_lsn():
    assert sequence({**POSTGRES, "lsn": None, "snapshot": "incremental"}, "r") == 0
    assert sequence({**POSTGRES, "snapshot": "incremental"}, "r") == 987_654_321


@pytest.mark.parametrize(
    ("stood_at", "expected"),
    [
        ('["26444100","26444176"]', 26_444_176),
        ('[null,"26444176"]', 26_444_176),
        ('["26444100",null]', 0),
        ("[]", 0),
        ("not json", 0),
        ('["-5"]', 0),
        (["26444100", "26444176"], 0),
        (None, 0),
    ],
)
def test_an_incremental_read_of_postgresql_stands_where_the_stream_stood(stood_at, expected):
    read = {**POSTGRES, "lsn": None, "snapshot": "incremental", "sequence": stood_at}
    assert sequence(read, "r") == expected


def test_the_sequence_is_no_position_of_a_streamed_change():
    with pytest.raises(InvalidEventError, match=r"source\.lsn"):
        sequence({**POSTGRES, "lsn": None, "sequence": '["1","2"]'}, "u")


def test_a_sequence_beyond_any_lsn_is_refused():
    with pytest.raises(InvalidEventError, match="out of range"):
        sequence({**POSTGRES, "lsn": None, "snapshot": "incremental", "sequence": f'["1","{"9" * 5_000}"]'}, "r")


def test_a_read_does_not_know_when_its_row_was_written():
    assert only(change("r", {"id": 1})).changed_at_us == 0


@pytest.mark.parametrize(
    "source",
    [
        {**POSTGRES, "lsn": None},
        {**POSTGRES, "lsn": 0},
        {**POSTGRES, "lsn": "x"},
        {**MYSQL, "file": ""},
        {**MYSQL, "pos": None},
    ],
)
@pytest.mark.parametrize("op", ["c", "u"])
def test_a_streamed_change_without_a_position_is_refused(source, op):
    with pytest.raises(InvalidEventError, match="place in the history"):
        parse(change(op, {"id": 1}, source=source))


@pytest.mark.parametrize(
    "source",
    [
        {**MYSQL, "file": "mysql-bin"},
        {**MYSQL, "file": "b.9999999999"},
        {**MYSQL, "pos": 2**64},
        {**MYSQL, "pos": -(2**32)},
        {**MYSQL, "row": -1},
        {**POSTGRES, "lsn": 2**63 * 2 - 1 + 2**70},
    ],
)
def test_a_position_out_of_range_is_refused(source):
    with pytest.raises(InvalidEventError):
        parse(change("u", {"id": 1}, source=source))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"ts_us": 5_000_001}, 5_000_001),
        ({"ts_ns": 7_000_999}, 7_000),
        ({"ts_ms": 9}, 9_000),
        ({"ts_ms": 9, "ts_us": 9_123}, 9_123),
    ],
)
def test_other_connectors_count_in_microseconds_of_the_commit(times, expected):
    assert sequence({"connector": "sqlserver", "db": "shop", "schema": "dbo", "table": "products", **times}) == expected


def test_the_mapping_raises_a_sources_epoch_and_chooses_its_clock():
    mapping = """
sources:
  - {match: {server: restored}, epoch: 3}
  - {match: {connector: mysql}, version: clock}
  - {match: {connector: sqlserver}, version: position}
tables: [{sku: id, fields: {title: [name]}}]
"""
    parser = with_mapping(mapping)
    assert only(change("u", {"id": 1}, source={**POSTGRES, "name": "restored"}), parser=parser).version.epoch == 3
    assert only(change("u", {"id": 1}), parser=parser).version.epoch == 0
    assert sequence(MYSQL, mapping=mapping) == 1_700_000_000_000_000
    with pytest.raises(InvalidEventError, match="version: clock"):
        sequence({"connector": "sqlserver", "ts_ms": 5}, mapping=mapping)


# --- encodings ---

UNAVAILABLE = [
    PLACEHOLDER,
    base64.b64encode(PLACEHOLDER.encode()).decode(),
    base64.b64encode(PLACEHOLDER.encode()).decode().rstrip("="),
    PLACEHOLDER.encode().hex(),
    [PLACEHOLDER],
    [base64.b64encode(PLACEHOLDER.encode()).decode()],
    list(PLACEHOLDER.encode()),
    {PLACEHOLDER: PLACEHOLDER},
    json.dumps({PLACEHOLDER: PLACEHOLDER}),
    json.dumps({PLACEHOLDER: PLACEHOLDER}, separators=(",", ":")),
]


@pytest.mark.parametrize("value", UNAVAILABLE)
def test_an_unavailable_value_is_recognised_in_every_dress(value):
    event = only(change("u", {"id": 1, "name": "x", "description": value, "notes": value, "bullets": value}))
    assert event.fields == {"title": "x"}
    assert event.unavailable == {"description", "bullets", "attributes.notes"}


def test_the_first_column_with_a_value_decides_whether_it_is_unavailable():
    assert only(change("u", {"id": 1, "title": PLACEHOLDER, "name": "x"})).unavailable == {"title"}
    assert only(change("u", {"id": 1, "title": "y", "name": PLACEHOLDER})).fields == {"title": "y"}


def test_another_placeholder_is_set_by_the_mapping():
    parser = with_mapping("{unavailable_value: __gone, tables: [{sku: id, fields: {title: name}}]}")
    assert only(change("u", {"id": 1, "name": "__gone"}), parser=parser).unavailable == {"title"}


def connect_decimal(unscaled: int) -> str:
    return base64.b64encode(unscaled.to_bytes(8, "big", signed=True)).decode()


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        (connect_decimal(1250), field("v", "bytes", "org.apache.kafka.connect.data.Decimal", scale="2"), 12.5),
        (connect_decimal(-7), field("v", "bytes", "org.apache.kafka.connect.data.Decimal", scale="0"), -7.0),
        (connect_decimal(5), field("v", "bytes", "org.apache.kafka.connect.data.Decimal", scale="-2"), 500.0),
        (12.5, field("v", "bytes", "org.apache.kafka.connect.data.Decimal", scale="2"), 12.5),
        (
            {"scale": 3, "value": connect_decimal(1250)},
            field("v", "struct", "io.debezium.data.VariableScaleDecimal"),
            1.25,
        ),
        ("12.50", field("v", "string"), "12.50"),
        (19_109, field("v", "int32", "io.debezium.time.Date"), "2022-04-27"),
        (19_109, field("v", "int32", "org.apache.kafka.connect.data.Date"), "2022-04-27"),
        (1_651_069_800_000, field("v", "int64", "io.debezium.time.Timestamp"), "2022-04-27T14:30:00"),
        (1_651_069_800_000_001, field("v", "int64", "io.debezium.time.MicroTimestamp"), "2022-04-27T14:30:00.000001"),
        (
            1_651_069_800_000_001_999,
            field("v", "int64", "io.debezium.time.NanoTimestamp"),
            "2022-04-27T14:30:00.000001",
        ),
        (1_651_069_800_000, field("v", "int64", "org.apache.kafka.connect.data.Timestamp"), "2022-04-27T14:30:00"),
        ("2022-04-27T14:30:00Z", field("v", "string", "io.debezium.time.ZonedTimestamp"), "2022-04-27T14:30:00Z"),
        (52_200_000_000, field("v", "int64", "io.debezium.time.MicroTime"), "14:30:00"),
        (2022, field("v", "int32", "io.debezium.time.Year"), 2022.0),
        (True, field("v", "boolean"), True),
        ("VVU=", field("v", "bytes", "io.debezium.data.Bits", length="16"), None),
        ("aGk=", field("v", "bytes"), None),
    ],
)
def test_values_are_decoded_as_the_schema_envelope_says(value, column, expected):
    event = only(envelope(change("c", {"id": 1, "v": value}), field("id", "int32"), column))
    assert event.fields.get("attributes.v") == expected


@pytest.mark.parametrize("value", ["***", "", connect_decimal(1) * 400])
def test_a_decimal_that_cannot_be_decoded_is_refused_by_name(value):
    column = field("price", "bytes", "org.apache.kafka.connect.data.Decimal", scale="2")
    with pytest.raises(InvalidEventError, match=r"column 'price'"):
        parse(envelope(change("c", {"id": 1, "price": value}), column))


def test_decimals_without_an_envelope_are_decoded_as_the_mapping_says():
    parser = with_mapping(
        "tables: [{sku: id, fields: {price: {column: p, type: decimal, scale: 2, encoding: base64}}}]"
    )
    assert only(change("c", {"id": 1, "p": connect_decimal(1250)}), parser=parser).fields == {"price": 12.5}


def test_a_variable_scale_decimal_needs_no_envelope():
    assert only(
        change("c", {"id": {"scale": 0, "value": "Bw=="}, "price": {"scale": 2, "value": connect_decimal(199)}})
    ).fields == {"price": 1.99}


# --- tables ---


def test_a_table_that_no_entry_matches_is_refused_and_an_ignored_one_ignored():
    parser = with_mapping("{ignore: [{table: audit_*}], tables: [{match: {table: products}, sku: id}]}")
    with pytest.raises(UnmappedTableError, match=r"public\.customers"):
        parse(change("c", {"id": 1}, source={**POSTGRES, "table": "customers"}), parser=parser)
    parsed = parse(change("t", source={**POSTGRES, "table": "AUDIT_log"}), parser=parser)
    assert isinstance(parsed, Ignored)


scalars = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        2**63,
        1.5,
        "",
        "x",
        "1e999",
        "true",
        PLACEHOLDER,
        [],
        [1],
        {},
        {"a": 1},
        {"scale": 9999, "value": "Bw=="},
    ]
)
STRICT = """
tables:
  - sku: {first_of: [id, sku]}
    tenant: {first_of: [tenant]}
    deleted_when: {column: gone, is_set: true}
    fields:
      price: {column: price, type: decimal, scale: 2}
      bullets: {column: list, type: list}
      attributes: {column: json, type: json}
      attributes.i: {column: integer, type: integer}
      attributes.b: {column: boolean, type: boolean}
      attributes.d: {column: date, type: date}
      attributes.t: {column: time, type: timestamp}
      title: {template: "{name} {size}"}
    rest: attributes
"""
STRICT_PARSER = with_mapping(STRICT)
COLUMNS = [
    "id",
    "sku",
    "tenant",
    "gone",
    "price",
    "list",
    "json",
    "integer",
    "boolean",
    "date",
    "time",
    "name",
    "size",
    "more",
]
MEMBERS = ["connector", "name", "db", "table", "snapshot", "lsn", "file", "pos", "row", "ts_ms", "ts_us"]
NAMES = [
    "org.apache.kafka.connect.data.Decimal",
    "io.debezium.time.Date",
    "io.debezium.time.NanoTimestamp",
    "io.debezium.data.VariableScaleDecimal",
]


def objects(names: list[str]) -> Any:
    return st.dictionaries(st.sampled_from(names), scalars, max_size=len(names))


@given(
    payload=st.fixed_dictionaries(
        {},
        optional={
            "op": st.sampled_from(["c", "u", "d", "r", "t", "m"]) | scalars,
            "before": objects(COLUMNS) | scalars,
            "after": objects(COLUMNS) | scalars,
            "source": objects(MEMBERS).map(lambda given_members: {**POSTGRES, **given_members}) | scalars,
            "status": scalars,
            "id": scalars,
            "ts_ms": scalars,
        },
    ),
    columns=st.lists(
        st.fixed_dictionaries(
            {
                "field": st.sampled_from(COLUMNS),
                "type": st.sampled_from(["bytes", "int64"]),
                "name": st.sampled_from(NAMES) | scalars,
                "parameters": scalars,
            }
        ),
        max_size=4,
    ),
    wrapped=st.booleans(),
    key=objects(COLUMNS) | scalars,
    whole=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_no_shape_of_an_event_makes_the_parser_fail_in_another_way(payload, columns, wrapped, key, whole):
    row = dict.fromkeys(COLUMNS)
    if whole and isinstance(payload.get("after"), dict):
        payload = {**payload, "after": {**row, "id": 1, **payload["after"]}}
    for parser in (PARSER, STRICT_PARSER):
        with contextlib.suppress(PoisonError):
            parse(envelope(payload, *columns, {"field": [], "name": []}) if wrapped else payload, key, parser)
