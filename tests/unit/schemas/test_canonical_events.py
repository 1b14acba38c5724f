"""The canonical event: read, refused with a reason, written and read again; the JSON Schema gives the same verdicts."""

import contextlib
import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import InvalidEventError, MissingKeyError, PoisonError, UnparsableEventError
from schemas.events.canonical import encode_event
from schemas.events.parser import Changes, EventParser, Ignored
from schemas.events.wire import ChangeEventIn
from schemas.export import FOLDER
from schemas.identity import SkuKey
from schemas.product.changes import ChangeEvent, FacetKey
from schemas.version import SourceVersion

pytestmark = pytest.mark.slow

PARSER = EventParser(default_tenant="ferre")
SCHEMA = jsonschema.Draft202012Validator(json.loads((FOLDER / "change-event.json").read_text(encoding="utf-8")))


def parse(raw: object) -> ChangeEvent:
    parsed = PARSER.parse(None, json.dumps(raw).encode())
    assert isinstance(parsed, Changes)
    [event] = parsed.events
    return event


def test_a_whole_event_is_read():
    event = parse(
        {
            "tenant": "shop-2",
            "sku": " A-1 ",
            "facet": "stock:norte",
            "op": "upsert",
            "version": {"epoch": 2, "sequence": 2**64 - 1},
            "fields": {"stock": "12"},
            "changed_at": "2026-01-02T03:04:05.5+00:00",
        }
    )
    assert event == ChangeEvent(
        SkuKey.of("shop-2", "A-1"),
        FacetKey("stock:norte"),
        SourceVersion(2, 2**64 - 1),
        {"stock": 12.0},
        changed_at_us=1_767_323_045_500_000,
    )


def test_tenant_facet_and_operation_have_defaults():
    event = parse({"sku": 7, "version": 1, "fields": {"title": "x", "brand": None}, "unavailable": ["image"]})
    assert (event.key, event.facet, event.version) == (SkuKey.of("ferre", "7"), "item", SourceVersion(0, 1))
    assert event.fields == {"title": "x"}
    assert event.unavailable == {"images"}
    assert event.changed_at_us == 0


def test_a_deletion_has_no_fields():
    assert parse({"sku": "A", "op": "delete", "version": 3, "fields": None}).is_delete


VALID = [
    {"sku": "A", "version": 1, "fields": {}},
    {
        "sku": 12,
        "version": 0,
        "fields": {"title": "x", "bullets": ["a", None], "ean": 75, "image": "u", "category": ["a", "b"]},
    },
    {
        "sku": "A",
        "tenant": None,
        "facet": None,
        "version": {"sequence": 5},
        "fields": {"attributes": {"a": [1, "b"], "c": True}},
    },
    {"sku": "A", "facet": "price", "version": 1, "fields": {"price": "12.5", "currency": "MXN"}},
    {"sku": "A", "facet": "price:mayoreo", "version": 1, "fields": {"price": 0}},
    {"sku": "A", "facet": "stock:b 2", "version": 1, "op": "delete"},
    {"sku": "A", "version": 1, "op": "delete", "fields": {}, "unavailable": []},
    {"sku": "A", "version": 1, "fields": {"attributes.color": "rojo", "price": 1e12, "stock": -5}},
    {
        "sku": "A",
        "version": 1,
        "fields": {"title": None},
        "unavailable": ["description", "attributes.x"],
        "changed_at": 10**15,
    },
    {"sku": "A", "version": 1, "fields": {}, "changed_at": 0},
]
INVALID = [
    ({"version": 1, "fields": {}}, "neither|no 'sku'"),
    ({"sku": None, "version": 1, "fields": {}}, "no 'sku'"),
    ({"sku": "", "version": 1, "fields": {}}, "sku"),
    ({"sku": " ", "version": 1, "fields": {}}, "sku"),
    ({"sku": "x" * 257, "version": 1, "fields": {}}, "sku"),
    ({"sku": ["A"], "version": 1, "fields": {}}, "neither text nor an integer"),
    ({"sku": 1.5, "version": 1, "fields": {}}, "neither text nor an integer"),
    ({"sku": "A", "tenant": "a/b", "version": 1, "fields": {}}, "tenant"),
    ({"sku": "A", "tenant": 5, "version": 1, "fields": {}}, "tenant"),
    ({"sku": "A", "fields": {}}, "no 'version'"),
    ({"sku": "A", "version": -1, "fields": {}}, "out of range"),
    ({"sku": "A", "version": 2**64, "fields": {}}, "neither an integer"),
    ({"sku": "A", "version": True, "fields": {}}, "neither an integer"),
    ({"sku": "A", "version": "7", "fields": {}}, "neither an integer"),
    ({"sku": "A", "version": {"epoch": 1}, "fields": {}}, "neither an integer"),
    ({"sku": "A", "version": {"sequence": 1, "x": 1}, "fields": {}}, "neither an integer"),
    ({"sku": "A", "version": {"sequence": 1, "epoch": 2**31}, "fields": {}}, "out of range"),
    ({"sku": "A", "version": 1}, "needs 'fields'"),
    ({"sku": "A", "version": 1, "fields": []}, "needs 'fields'"),
    ({"sku": "A", "version": 1, "op": "u", "fields": {}}, "neither 'upsert' nor 'delete'"),
    ({"sku": "A", "version": 1, "op": "delete", "fields": {"title": "x"}}, "carries neither"),
    ({"sku": "A", "version": 1, "fields": {"titel": "x"}}, "did you mean"),
    ({"sku": "A", "version": 1, "fields": {"title": "x" * 2001}}, "2000"),
    ({"sku": "A", "version": 1, "fields": {"title": {"es": "x"}}}, "not text"),
    ({"sku": "A", "version": 1, "fields": {"price": -1}}, "between"),
    ({"sku": "A", "version": 1, "fields": {"price": "1,5"}}, "decimal"),
    ({"sku": "A", "version": 1, "fields": {"price": 1e13}}, "between"),
    ({"sku": "A", "version": 1, "fields": {"attributes": {"a": {}}}}, "attributes"),
    ({"sku": "A", "facet": "price", "version": 1, "fields": {"title": "x"}}, "no field"),
    ({"sku": "A", "facet": "color", "version": 1, "fields": {}}, "none of item"),
    ({"sku": "A", "facet": "color", "version": 1, "op": "delete"}, "none of item"),
    ({"sku": "A", "facet": "item:x", "version": 1, "fields": {}}, "facet"),
    ({"sku": "A", "facet": 5, "version": 1, "fields": {}}, "facet"),
    ({"sku": "A", "version": 1, "fields": {}, "feilds": {}}, "unknown member 'feilds'"),
    ({"sku": "A", "version": 1, "fields": {}, "unavailable": "title"}, "list of"),
    ({"sku": "A", "version": 1, "fields": {}, "changed_at": 1.5}, "changed_at"),
    ({"sku": "A", "version": 1, "fields": {}, "changed_at": -1}, "changed_at"),
]
BEYOND_A_SCHEMA = [
    ({"sku": "A", "version": 1, "fields": {"title": "x"}, "unavailable": ["title"]}, "both given and unavailable"),
    ({"sku": "A", "version": 1, "fields": {}, "unavailable": ["titel"]}, "no field"),
    ({"sku": "A", "version": 1, "fields": {}, "changed_at": 1_700_000_000_000}, "microseconds"),
    ({"sku": "A", "version": 1, "fields": {}, "changed_at": "2026-01-01T00:00:00"}, "with its zone"),
    ({"sku": "A", "version": 1, "fields": {}, "changed_at": "yesterday"}, "ISO 8601"),
]


@pytest.mark.parametrize("raw", VALID)
def test_parser_schema_and_model_accept(raw):
    parse(raw)
    SCHEMA.validate(raw)
    ChangeEventIn.model_validate(raw)


@pytest.mark.parametrize(("raw", "words"), INVALID)
def test_parser_schema_and_model_refuse(raw, words):
    with pytest.raises(PoisonError, match=words):
        parse(raw)
    assert not SCHEMA.is_valid(raw)


@pytest.mark.parametrize(("raw", "words"), BEYOND_A_SCHEMA)
def test_the_parser_refuses_what_no_schema_can_say(raw, words):
    with pytest.raises(InvalidEventError, match=words):
        parse(raw)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (b"{", UnparsableEventError, "not JSON"),
        (b"\xff\xfe", UnparsableEventError, "not JSON"),
        (b"\x00\x00\x00\x00\x01abc", UnparsableEventError, "JsonConverter"),
        (b"[1]", UnparsableEventError, "a list"),
        (b"12", UnparsableEventError, "a number"),
        (b'"x"', UnparsableEventError, "text"),
        (b"[" * 100_000, UnparsableEventError, "not JSON"),
        (b'{"a":1}', InvalidEventError, "neither a canonical event"),
        (b"{}", InvalidEventError, "no members"),
        (b'{"version":1,"fields":{}}', MissingKeyError, "no 'sku'"),
        (b'{"id":1,"name":"x","__deleted":"false","sku":"A"}', InvalidEventError, "ExtractNewRecordState"),
    ],
)
def test_other_bytes_are_refused_with_their_reason(value, error, words):
    with pytest.raises(error, match=words):
        PARSER.parse(b"ferre/A", value)


@pytest.mark.parametrize("value", [None, b"", b"null", b'{"schema":null,"payload":null}'])
def test_a_kafka_tombstone_is_ignored_because_it_has_no_version(value):
    parsed = PARSER.parse(b"ferre/A", value)
    assert isinstance(parsed, Ignored)
    assert "tombstone" in parsed.reason


def test_an_event_too_large_is_refused_before_it_is_read():
    with pytest.raises(UnparsableEventError, match="more than"):
        PARSER.parse(None, b" " * (8 * 1024 * 1024 + 1))


@given(
    st.sampled_from(["item", "price", "stock:norte"]),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**31 - 1),
    st.one_of(st.none(), st.floats(0, 1e12)),
    st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=10),
    st.one_of(st.just(0), st.integers(10**14, 10**16)),
)
@settings(deadline=None)
def test_an_event_survives_its_canonical_bytes(facet, sequence, epoch, amount, sku, changed_at):
    name = "stock" if facet.startswith("stock") else "price"
    fields = None if amount is None else {name: amount + 0.0}
    event = ChangeEvent(
        SkuKey.of("t", sku), FacetKey(facet), SourceVersion(epoch, sequence), fields, changed_at_us=changed_at
    )
    assert PARSER.parse(None, encode_event(event)) == Changes((event,))


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "sku",
                        "version",
                        "fields",
                        "op",
                        "facet",
                        "source",
                        "after",
                        "before",
                        "payload",
                        "schema",
                        "title",
                        "connector",
                        "table",
                        "id",
                        "lsn",
                        "snapshot",
                    ]
                ),
                inner,
            )
        ),
    )
)
@settings(max_examples=100, deadline=None)
def test_no_json_makes_the_parser_fail_in_another_way(raw):
    try:
        value = json.dumps(raw).encode()
        PARSER.parse(value, value)
    except PoisonError:
        pass


@given(st.binary())
@settings(max_examples=100, deadline=None)
def test_no_bytes_make_the_parser_fail_in_another_way(value):
    with contextlib.suppress(PoisonError):
        PARSER.parse(value, value)


@pytest.mark.parametrize("deep", ["[" * 1000 + "]" * 1000, '{"a":' * 1000 + "1" + "}" * 1000, "[" * 100_000])
@pytest.mark.parametrize(
    "where", ['"op":%s', '"sku":%s', '"fields":{"title":%s}', '"payload":{"op":"c","source":%s}', '"x":%s']
)
def test_what_is_nested_beyond_reason_breaks_a_stated_rule_wherever_it_is(where, deep):
    event = '{"sku":"A","version":1,"op":"upsert","fields":{"title":"x"},' + where.replace("%s", deep) + "}"
    with pytest.raises(PoisonError):
        EventParser().parse(deep.encode(), event.encode())
