"""What becomes of records of the documents topic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.replica.tailing.decode import decode, place_of
from query_api.replica.tailing.log import LogRecord
from retrieval.text.apart.values import Flaw
from runtime.isolation import DefectError
from schemas.documents import SearchDocument
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
        (b'{"tenant":"acme","sku":"A","rev":9223372036854775808,"state":"00"}', b"acme/A", "64 bits"),
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
    assert malformed.place.offset == 41
    assert reason in malformed.detail


@given(st.lists(st.tuples(st.one_of(st.none(), st.binary(max_size=20)), st.one_of(st.none(), st.binary(max_size=40)))))
def test_no_bytes_stop_it_and_every_record_is_accounted_for(pairs):
    decoded = decode([LogRecord(0, offset, raw_key, value) for offset, (raw_key, value) in enumerate(pairs)])
    nulls = sum(value is None for _, value in pairs)
    assert len(decoded.malformed) >= len(pairs) - nulls - len(decoded.documents)


@pytest.mark.parametrize(
    ("fields", "left_out"),
    [
        (b'"attributes":{"w":null}', ("attributes",)),
        (b'"price":1e999', ("price",)),
        (b'"bullets":"one","ean":[7]', ("bullets", "ean")),
    ],
)
def test_a_document_with_faulty_fields_is_read_without_them(fields, left_out):
    value = document("A", 4).to_bytes().replace(b"}", b"," + fields + b"}")
    decoded = decode([record(value, offset=7)], now_us=9)
    assert decoded.documents == (document("A", 4),)
    (apart,) = decoded.incomplete.values()
    assert (apart.flaw, apart.lacks, apart.place.offset, apart.since_us) == (Flaw.PARTLY_INDEXED, left_out, 7, 9)


def test_of_a_newer_whole_document_nothing_is_left_out():
    faulty = document("A", 4).to_bytes().replace(b"}", b',"price":"?"}')
    decoded = decode([record(faulty, offset=0), record(document("A", 5).to_bytes(), offset=1)])
    assert decoded.incomplete == {}
    assert decoded.places[key("A")].offset == 1


@pytest.mark.parametrize(("header", "attempt"), [(b"3", 4), (b"-1", 1), (b"9" * 5000, 1_000_000), (None, 1)])
def test_how_often_a_record_was_tried_comes_with_it(header, attempt):
    one = LogRecord(1, 2, b"acme/A", b"x", 5, (("ferroflux.attempt", header),))
    assert place_of(one)[:4] == (1, 2, 5, attempt)


def test_a_defect_of_ours_on_one_record_is_set_apart_and_on_many_is_the_end(monkeypatch):
    def failing(value):
        raise RecursionError

    monkeypatch.setattr(SearchDocument, "model_validate_json", failing)
    assert decode([record(b"{}")]).malformed[0].code == "unexpected"
    with pytest.raises(DefectError):
        decode([record(b"{}", offset=number) for number in range(20)])
