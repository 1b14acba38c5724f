"""A producer whose batch is refused sends the rest item by item, in order, and says of each refused record why."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    NotEnoughReplicasError,
    OutOfOrderSequenceNumber,
    PolicyViolationError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    for_code,
)

from runtime.kafka import clients
from runtime.kafka.log_writer import LogWriter, OutboundRecord, record_bytes
from schemas.errors import ConfigurationError, LogUnavailableError, RecordRefusedError, RecordTooLargeError
from schemas.topics import KafkaSettings


class Broker:
    """Takes the records of one attempt as batches of two; a batch with a bad record is refused, and the producer has a gap then."""

    def __init__(self) -> None:
        self.log: list[tuple[bytes | None, bytes | None]] = []
        self.bad: dict[bytes, type[KafkaError]] = {}
        self.largest = 10_000
        self.producers = 0
        self.lenient = False
        """Whether it takes what comes behind a gap, as brokers do that know nothing of the producer."""

    def batch(self, records: list[tuple[bytes | None, bytes | None]], producer: Producer) -> KafkaError | None:
        if producer.gap and not self.lenient:
            return OutOfOrderSequenceNumber()
        for _, value in records:
            found = self.bad.get(value or b"")
            if found is None and len(value or b"") > self.largest:
                found = MessageSizeTooLargeError
            if found is not None:
                producer.gap = True
                return found()
        self.log += records
        return None


class Producer:
    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.gap = False
        self.stopped = False
        self._batch: list[tuple[tuple[bytes | None, bytes | None], asyncio.Future[Any]]] = []
        broker.producers += 1

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    async def send(
        self, topic: str, *, value: bytes | None, key: bytes | None, headers: Any, partition: int | None = None
    ) -> asyncio.Future[Any]:
        assert not (value is None and key is None), "Need at least one: key or value"
        for name, _ in headers:
            name.encode()
        future = asyncio.get_running_loop().create_future()
        self._batch.append(((key, value), future))
        if len(self._batch) == 2:
            self._flush()
        else:
            asyncio.get_running_loop().call_soon(self._flush)
        return future

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        begin = len(self.broker.log)
        error = self.broker.batch([record for record, _ in batch], self) if batch else None
        for number, (_, future) in enumerate(batch):
            if error is None:
                future.set_result(SimpleNamespace(offset=begin + number))
            else:
                future.set_exception(error)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    made = Broker()
    monkeypatch.setattr(clients, "AIOKafkaProducer", lambda **_: Producer(made))
    yield made


def writer(**options: Any) -> LogWriter:
    return LogWriter(KafkaSettings(), **options)


def record(value: str, key: str | None = None) -> OutboundRecord:
    return OutboundRecord((key or value).encode(), value.encode(), [])


def values(broker: Broker) -> list[bytes | None]:
    return [value for _, value in broker.log]


async def test_a_batch_goes_with_one_producer(broker: Broker) -> None:
    assert await writer().append_each("t", [record(v) for v in "abcde"]) == [None] * 5
    assert values(broker) == [b"a", b"b", b"c", b"d", b"e"]
    assert broker.producers == 1


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("kind", [MessageSizeTooLargeError, PolicyViolationError, for_code(87)])
async def test_one_refused_record_stops_none_beside_it(broker: Broker, kind: type[KafkaError], lenient: bool) -> None:
    broker.bad, broker.lenient = {b"bad": kind}, lenient
    appending = writer()
    outcome = await appending.append_each("t", [record(v) for v in ("a", "b", "bad", "d", "e", "f")])
    assert [refusal is None for refusal in outcome] == [True, True, False, True, True, True]
    expected = RecordTooLargeError if kind is MessageSizeTooLargeError else RecordRefusedError
    assert isinstance(outcome[2], expected)
    assert set(values(broker)) == {b"a", b"b", b"d", b"e", b"f"}
    await appending.append("t", [record("g")])
    assert values(broker)[-1] == b"g"


async def test_records_of_one_key_end_in_order_whatever_is_refused_between(broker: Broker) -> None:
    # The second batch was taken although the first was not: the newer value of "x" went first.
    broker.bad, broker.lenient = {b"bad": MessageSizeTooLargeError}, True
    records = [record("x1", "x"), record("bad"), record("x2", "x"), record("y")]
    outcome = await writer().append_each("t", records)
    assert [refusal is None for refusal in outcome] == [True, False, True, True]
    of_x = [value for key, value in broker.log if key == b"x"]
    assert of_x[-2:] == [b"x1", b"x2"]


@pytest.mark.parametrize("kind", [NotEnoughReplicasError, RequestTimedOutError, KafkaError])
async def test_what_may_succeed_later_is_no_refusal(broker: Broker, kind: type[KafkaError]) -> None:
    broker.bad = {b"b": kind}
    appending = writer()
    with pytest.raises(LogUnavailableError):
        await appending.append_each("t", [record("a"), record("b")])
    broker.bad = {}
    await appending.append("t", [record("a"), record("b")])
    assert broker.producers == 2


async def test_a_retryable_error_beside_a_refusal_is_retryable(broker: Broker) -> None:
    broker.bad, broker.lenient = {b"bad": MessageSizeTooLargeError, b"c": NotEnoughReplicasError}, True
    with pytest.raises(LogUnavailableError):
        await writer().append_each("t", [record(v) for v in ("a", "bad", "c", "d")])


async def test_no_right_to_write_is_for_the_operator(broker: Broker) -> None:
    broker.bad = {b"a": TopicAuthorizationFailedError}
    with pytest.raises(ConfigurationError, match="does not let us write to topic t"):
        await writer().append("t", [record("a")])


async def test_what_a_topic_is_known_not_to_take_is_never_sent(broker: Broker) -> None:
    appending = writer()
    appending.carries({"t": 200})
    outcome = await appending.append_each("t", [record("a"), record("b" * 200), record("c")])
    assert isinstance(outcome[1], RecordTooLargeError)
    assert "200 that topic t takes" in str(outcome[1])
    assert values(broker) == [b"a", b"c"]
    assert broker.producers == 1
    assert record_bytes(record("a")) < appending.limit("t") == 200 < appending.limit("other")


async def test_many_records_of_a_size_that_was_refused_cost_one_producer(broker: Broker) -> None:
    broker.largest = 50
    outcome = await writer().append_each("t", [record("b" * 60, f"k{n}") for n in range(20)])
    assert all(isinstance(refusal, RecordTooLargeError) for refusal in outcome)
    assert broker.producers <= 3


async def test_a_record_that_cannot_be_encoded_is_refused_alone(broker: Broker) -> None:
    nothing = OutboundRecord(None, None, [])
    unwritable = OutboundRecord(b"k", b"v", [("\ud800", b"")])
    outcome = await writer().append_each("t", [record("a"), nothing, unwritable, record("b")])
    assert [type(refusal) for refusal in outcome] == [type(None), RecordRefusedError, RecordRefusedError, type(None)]
    assert values(broker) == [b"a", b"b"]


async def test_a_caller_beside_a_refusal_goes_on_with_a_new_producer(broker: Broker) -> None:
    broker.bad = {b"bad": MessageSizeTooLargeError}
    appending = writer()
    refused, went = await asyncio.gather(
        appending.append_each("t", [record("bad"), record("a")]), appending.append_each("t", [record("b"), record("c")])
    )
    assert [refusal is None for refusal in refused] == [False, True]
    assert went == [None, None]
    assert set(values(broker)) == {b"a", b"b", b"c"}


async def test_a_producer_that_cannot_flush_is_abandoned_with_what_it_holds(broker: Broker, monkeypatch: Any) -> None:
    monkeypatch.setattr(clients, "_STOP_S", 0.01)
    dropped: list[str] = []

    async def never(self: Any) -> None:
        await asyncio.Event().wait()

    async def closed() -> None:
        dropped.append("connections")

    monkeypatch.setattr(Producer, "stop", never)
    sending = asyncio.create_task(asyncio.sleep(60))
    parts = {
        "_sender": SimpleNamespace(sender_task=sending),
        "_message_accumulator": SimpleNamespace(fail_all=lambda error: dropped.append(type(error).__name__)),
        "client": SimpleNamespace(close=closed),
    }
    for name, part in parts.items():
        monkeypatch.setattr(Producer, name, part, raising=False)
    broker.bad = {b"a": NotEnoughReplicasError}
    with pytest.raises(LogUnavailableError):
        await writer().append("t", [record("a")])
    await asyncio.gather(sending, return_exceptions=True)
    assert sending.cancelled()
    assert dropped == ["ProducerClosed", "connections"]


async def test_one_partition_is_appended_to_up_to_the_offset_that_is_returned(broker: Broker) -> None:
    appending = writer()
    assert await appending.append_to("t", 2, []) == 0
    assert await appending.append_to("t", 2, [record(v) for v in "abc"]) == 3
    broker.bad = {b"bad": MessageSizeTooLargeError, b"late": NotEnoughReplicasError}
    with pytest.raises(RecordTooLargeError):
        await appending.append_to("t", 2, [record("bad")])
    with pytest.raises(LogUnavailableError):
        await appending.append_to("t", 2, [record("late")])
    assert await appending.append_to("t", 2, [record("d")]) == 4
    assert broker.producers == 3, "one that lost a batch is replaced"


async def test_append_names_the_refusal_after_all_others_went(broker: Broker) -> None:
    broker.bad = {b"bad": MessageSizeTooLargeError}
    with pytest.raises(RecordTooLargeError):
        await writer().append("t", [record("bad"), record("b")])
    assert values(broker) == [b"b"]
