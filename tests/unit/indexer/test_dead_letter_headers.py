"""A dead letter keeps its record as it was, and says beside it why, whence and how often."""

import random
import sys
from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.deadletters.letter import Letter, read_record
from indexer.kafka.publisher import KafkaDeadLetterSink, letter_record
from indexer.records import DeadLetter, InboundRecord
from runtime.kafka.log_writer import LogWriter, OutboundRecord, record_bytes
from schemas.errors import ConfigurationError, PoisonError, RecordTooLargeError
from schemas.events.dead_letters import ATTEMPT_HEADER
from schemas.topics import LARGEST_RECORD_BYTES, SMALLEST_RECORD_BYTES, KafkaSettings
from tests.support.indexing.fakes import TOPIC, FakeClock, record


class CapturingWriter(LogWriter):
    """A writer to a topic that takes `really` bytes a record, whatever is known of it."""

    def __init__(self, really: int = LARGEST_RECORD_BYTES) -> None:
        super().__init__(KafkaSettings())
        self.records: list[OutboundRecord] = []
        self.calls = 0
        self._really = really

    async def append_each(self, topic: str, records: Sequence[OutboundRecord]) -> list[PoisonError | None]:
        assert topic == "dlq"
        self.calls += 1
        refusals = [RecordTooLargeError() if record_bytes(each) > self._really else None for each in records]
        self.records += [each for each, refused in zip(records, refusals, strict=True) if refused is None]
        return list(refusals)


def letter(**options: object) -> DeadLetter:
    return DeadLetter(
        record=record(
            b"\xff", 41, partition=3, headers=(("trace", b"\x00\x01"), ("null", None), (ATTEMPT_HEADER, b"1"))
        ),
        reason="unparsable",
        detail="not JSON: ñ",
        tenant="acme",
        attempt=2,
    )


def test_headers_name_reason_coordinates_attempt_and_keep_the_originals() -> None:
    headers = letter_record(letter(), now_us=5, most=sys.maxsize).headers
    assert headers[:2] == [("trace", b"\x00\x01"), ("null", None)]
    assert dict(headers[2:]) == {
        "ferroflux.reason": b"unparsable",
        "ferroflux.detail": "not JSON: ñ".encode(),
        "ferroflux.topic": TOPIC.encode(),
        "ferroflux.partition": b"3",
        "ferroflux.offset": b"41",
        "ferroflux.timestamp": b"1700000100041",
        "ferroflux.taken": b"1700000100041",
        "ferroflux.attempt": b"2",
        "ferroflux.tenant": b"acme",
        "ferroflux.time": b"5",
    }


async def test_key_and_value_are_the_original_bytes() -> None:
    writer = CapturingWriter()
    await KafkaDeadLetterSink(writer, "dlq", clock=FakeClock()).send([letter()])
    assert (writer.records[0].key, writer.records[0].value) == (b"acme/x", b"\xff")


async def test_a_record_of_nothing_says_that_its_value_was_null() -> None:
    writer = CapturingWriter()
    nothing = DeadLetter(record(None, key=None), "missing_key", "no key")
    await KafkaDeadLetterSink(writer, "dlq", clock=FakeClock()).send([nothing])
    assert (writer.records[0].key, writer.records[0].value) == (None, b"")
    assert ("ferroflux.null", b"value") in writer.records[0].headers


LARGE = random.Random(1).randbytes(300_000)


def read_back(sent: OutboundRecord) -> Letter:
    found = read_record(InboundRecord("dlq", 1, 9, 0, sent.key, sent.value, tuple(sent.headers)))
    assert isinstance(found, Letter)
    return found


@given(
    st.integers(0, 200_000), st.integers(0, 3_000), st.integers(0, 40_000), st.integers(0, 40_000), st.integers(4_000, 2**24)
)  # fmt: skip
def test_a_letter_fits_whatever_its_record_is(value: int, headers: int, header: int, key: int, most: int) -> None:
    original = record(
        bytes(value), key=b"k" * key, headers=tuple((f"h{n}", b"x" * (header // (1 + n))) for n in range(headers))
    )
    sent = OutboundRecord(*letter_record(DeadLetter(original, "r", "d" * 1000), now_us=5, most=most))
    assert record_bytes(sent) <= most
    letter = read_back(sent)
    assert (letter.reason, letter.original.coordinates) == ("r", original.coordinates)
    assert (letter.truncated is None) == (letter.original == original)


def test_a_truncated_letter_has_the_beginning_the_digest_and_the_size() -> None:
    original = record(LARGE, 41, headers=(("trace", b"1"), ("long", b"x" * 50_000)))
    sent = OutboundRecord(*letter_record(DeadLetter(original, "r", "d"), now_us=5, most=200_000))
    letter = read_back(sent)
    assert letter.truncated is not None
    assert letter.truncated.parts == ("value", "headers")
    assert (letter.truncated.size, letter.truncated.digest) == (len(LARGE), sha256(LARGE).hexdigest())
    assert letter.original.value == LARGE[: 64 * 1024]
    assert letter.original.headers == (("trace", b"1"),)
    assert letter.truncated.fits(original)
    assert not letter.truncated.fits(record(LARGE[1:], 41))


async def test_a_topic_that_takes_less_than_it_said_gets_the_letter_all_the_same() -> None:
    writer = CapturingWriter(really=70_000)
    small = letter()
    await KafkaDeadLetterSink(writer, "dlq", clock=FakeClock()).send(
        [small, DeadLetter(record(LARGE), "r", "d"), small]
    )
    assert [len(one.value or b"") for one in writer.records] == [1, 1, 64 * 1024]
    assert writer.calls <= 4


async def test_a_topic_that_takes_no_letter_at_all_is_for_the_operator() -> None:
    with pytest.raises(ConfigurationError, match="takes no dead letter"):
        await KafkaDeadLetterSink(CapturingWriter(really=100), "dlq", clock=FakeClock()).send([letter()])
    assert SMALLEST_RECORD_BYTES < LARGEST_RECORD_BYTES
