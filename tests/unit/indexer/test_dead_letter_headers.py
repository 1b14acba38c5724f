"""A dead letter keeps its record as it was, and says beside it why, whence and how often."""

from indexer.kafka.publisher import KafkaDeadLetterSink, dead_letter_headers
from indexer.records import ATTEMPT_HEADER, DeadLetter
from runtime.log_writer import LogWriter, OutboundRecord
from schemas.topics import KafkaSettings
from tests.support.indexing.fakes import TOPIC, FakeClock, record


class CapturingWriter(LogWriter):
    def __init__(self) -> None:
        super().__init__(KafkaSettings())
        self.records: list[OutboundRecord] = []

    async def append(self, topic: str, records: object) -> None:
        assert topic == "dlq"
        self.records.extend(records)  # type: ignore[arg-type] # as the sink hands them over


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
    headers = dead_letter_headers(letter(), now_us=5)
    assert headers[:2] == [("trace", b"\x00\x01"), ("null", None)]
    assert dict(headers[2:]) == {
        "ferroflux.reason": b"unparsable",
        "ferroflux.detail": "not JSON: ñ".encode(),
        "ferroflux.topic": TOPIC.encode(),
        "ferroflux.partition": b"3",
        "ferroflux.offset": b"41",
        "ferroflux.timestamp": b"1700000100041",
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
