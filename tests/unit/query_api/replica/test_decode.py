"""What becomes of records of the documents topic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.replica.decode import decode
from query_api.replica.log.port import LogRecord
from tests.unit.query_api.replica.fakes import document, key


def record(value, raw_key=b"acme/A", offset=0):
    return LogRecord(0, offset, raw_key, value)


def test_a_document_is_read():
    decoded = decode([record(document("A", 3).to_bytes())])
    assert decoded.documents == (document("A", 3),)
    assert not decoded.removed
    assert not decoded.malformed


@pytest.mark.parametrize("revisions", [(1, 2, 3), (3, 1, 2), (2, 3, 3)])
def test_of_several_documents_of_a_product_the_highest_revision_stays(revisions):
    decoded = decode([record(document("A", rev).to_bytes()) for rev in revisions])
    assert [kept.rev for kept in decoded.documents] == [3]


def test_a_null_value_forgets_the_product_and_what_came_before_it():
    decoded = decode([record(document("A", 7).to_bytes()), record(None)])
    assert decoded.documents == ()
    assert decoded.removed == {key("A")}


def test_a_document_after_a_null_value_begins_anew_at_a_lower_revision():
    decoded = decode([record(document("A", 7).to_bytes()), record(None), record(document("A", 1).to_bytes())])
    assert [kept.rev for kept in decoded.documents] == [1]
    assert decoded.removed == {key("A")}


@pytest.mark.parametrize(
    ("value", "raw_key", "reason"),
    [
        (b"{", b"acme/A", "JSON"),
        (b"", b"acme/A", "JSON"),
        (b"[]", b"acme/A", "object"),
        (b'{"tenant":"acme","sku":"A","state":"00"}', b"acme/A", "rev"),
        (b'{"tenant":"acme","sku":"A","rev":0,"state":"00"}', b"acme/A", "rev"),
        (b'{"tenant":"acme","sku":"B","rev":1,"state":"00"}', b"acme/A", "the record's key"),
        (document("A").to_bytes(), None, "no key"),
        (document("A").to_bytes(), b"\xff\xfe", "UTF-8"),
        (document("A").to_bytes(), b"acme", "tenant/sku"),
        (None, None, "no key"),
    ],
)
def test_what_is_no_document_is_named_with_its_place_and_reason(value, raw_key, reason):
    decoded = decode([record(document("B").to_bytes(), b"acme/B"), record(value, raw_key, offset=41)])
    assert [kept.sku for kept in decoded.documents] == ["B"]
    (malformed,) = decoded.malformed
    assert malformed.offset == 41
    assert reason in malformed.reason


@given(st.lists(st.tuples(st.one_of(st.none(), st.binary(max_size=20)), st.one_of(st.none(), st.binary(max_size=40)))))
def test_no_bytes_stop_it_and_every_record_is_accounted_for(pairs):
    decoded = decode([LogRecord(0, offset, raw_key, value) for offset, (raw_key, value) in enumerate(pairs)])
    nulls = sum(value is None for _, value in pairs)
    assert len(decoded.malformed) >= len(pairs) - nulls - len(decoded.documents)
