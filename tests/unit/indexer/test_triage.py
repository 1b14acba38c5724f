"""Records of many kinds, most of them bad: each costs one dead letter at most, and none is an exception."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.batch.triage import Triage, triage
from indexer.records import InboundRecord
from runtime.isolation import Isolation
from schemas.events.dead_letters import ATTEMPT_HEADER
from schemas.events.parser import EventParser
from tests.support.indexing.fakes import event, record

PARSER = EventParser()
GOOD = event("A1", "item", 1, {"title": "Bolt"})


def looked_at(batch: Sequence[InboundRecord], parser: EventParser, *, most: int) -> Triage:
    return triage(batch, parser, max_record_bytes=most, isolation=Isolation("parsing"), now_us=1)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("no JSON", b"{oops", "unparsable"),
        ("binary", bytes(range(256)), "unparsable"),
        ("a list", b"[1, 2]", "unparsable"),
        ("a number", b"7", "unparsable"),
        ("half a character", b'{"sku": "\xc3"}', "unparsable"),
        ("a lone surrogate", b'{"sku": "\\ud800", "version": 1}', "unparsable"),
        ("an empty object", b"{}", "invalid_event"),
        ("no version", b'{"sku": "A1", "fields": {}}', "invalid_event"),
        ("a negative version", b'{"sku": "A1", "version": -1, "fields": {}}', "invalid_event"),
        ("a version too large", b'{"sku": "A1", "version": 99999999999999999999999, "fields": {}}', "invalid_event"),
        ("an unknown member", b'{"sku": "A1", "version": 1, "feilds": {}}', "invalid_event"),
        ("no SKU", b'{"version": 1, "fields": {}}', None),
        ("a blank SKU", b'{"sku": "  ", "version": 1, "fields": {}}', "invalid_event"),
        ("nested without end", b"[" * 20_000, "unparsable"),
        ("too large", b'{"sku": "' + b"a" * 5000, "record_too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_bad_record(name: str, value: bytes, reason: str | None) -> None:
    result = looked_at([record(value, 5), record(GOOD, 6)], PARSER, most=30_000 if reason == "unparsable" else 4096)
    assert [arrival.record.offset for arrival in result.arrivals] == [6]
    (letter,) = result.letters
    assert letter.record.value == value
    assert letter.detail
    if reason:
        assert letter.reason == reason


@given(st.lists(st.binary(max_size=60) | st.none(), max_size=8))
def test_every_record_is_accounted_for_whatever_its_bytes(values: list[bytes | None]) -> None:
    batch = [record(value, offset) for offset, value in enumerate(values)]
    result = looked_at(batch, PARSER, most=4096)
    assert len(result.letters) + result.ignored + len(result.arrivals) == len(batch)


@pytest.mark.parametrize(
    "headers", [(("n", None),), (("b", b"\xff\xfe"),), ((ATTEMPT_HEADER, b"x"),), ((ATTEMPT_HEADER, None),)]
)
def test_null_and_binary_headers_lose_nothing(headers: tuple[tuple[str, bytes | None], ...]) -> None:
    result = looked_at([record(GOOD, 0, headers=headers), record(b"bad", 1, headers=headers)], PARSER, most=4096)
    assert len(result.arrivals) == 1
    assert result.letters[0].record.headers == headers
    assert result.letters[0].attempt == 1


def test_a_redriven_record_counts_its_attempts_on() -> None:
    result = looked_at([record(b"bad", 0, headers=((ATTEMPT_HEADER, b"3"),))], PARSER, most=4096)
    assert result.letters[0].attempt == 4


@pytest.mark.parametrize(("key", "tenant"), [(b"acme/A1", "acme"), (b"\xff", ""), (None, ""), (b"{}", "")])
def test_the_tenant_of_a_dead_letter_is_guessed_from_the_key(key: bytes | None, tenant: str) -> None:
    assert looked_at([record(b"bad", key=key)], PARSER, most=4096).letters[0].tenant == tenant


def test_a_defect_of_the_parser_costs_one_dead_letter() -> None:
    class Defective(EventParser):
        def parse(self, key: bytes | None, value: bytes | None, *, taken_ms: int | None = None):
            if value == b"trigger":
                raise ZeroDivisionError
            return super().parse(key, value)

    result = looked_at([record(b"trigger", 0), record(GOOD, 1)], Defective(), most=4096)
    assert (result.letters[0].reason, len(result.arrivals)) == ("unexpected", 1)
