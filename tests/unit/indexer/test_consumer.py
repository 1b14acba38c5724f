"""The consumer's wiring on FastStream's test broker, and its offsets on a fake aiokafka consumer."""

import asyncio
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError
from faststream.kafka import TestKafkaBroker
from structlog.testing import capture_logs

from indexer.consuming.publish_lock import PublishLock
from indexer.kafka.consumer import ChangeConsumer, ConsumerEndedError, RevocationListener, inbound
from indexer.ports import LeaseLostError
from indexer.readiness import ConsumerHealth
from indexer.records import InboundRecord
from indexer.settings import ConsumerSettings
from schemas.errors import LogUnavailableError
from schemas.topics import KafkaSettings
from tests.support.waiting import eventually


def make_consumer() -> ChangeConsumer:
    return ChangeConsumer(
        KafkaSettings(),
        ConsumerSettings(),
        lock=PublishLock(),
        progress=ConsumerHealth(),
        beside=lambda topic: f"of {topic}",
    )


class FakeKafkaConsumer:
    def __init__(self) -> None:
        self.refuse: Exception | None = None
        self.offsets: dict[KafkaPartition, int] = {}
        self.sought: list[tuple[KafkaPartition, int]] = []
        self.at = 20

    def assignment(self) -> set[KafkaPartition]:
        return {KafkaPartition("warehouse.changes", 0)}

    async def commit(self, offsets: dict[KafkaPartition, int]) -> None:
        if self.refuse:
            raise self.refuse
        self.offsets |= offsets

    def seek(self, place: KafkaPartition, offset: int) -> None:
        self.sought.append((place, offset))

    def highwater(self, place: KafkaPartition) -> int:
        return 30

    async def end_offsets(self, places: list[KafkaPartition]) -> dict[KafkaPartition, int]:
        if self.refuse:
            raise self.refuse
        return dict.fromkeys(places, 50)

    def last_poll_timestamp(self, place: KafkaPartition) -> int:
        return 1_700_000_000_000

    async def position(self, place: KafkaPartition) -> int:
        return self.at


async def test_batches_come_raw_through_faststream() -> None:
    consumer = make_consumer()
    seen: list[InboundRecord] = []

    async def handler(records: Any) -> None:
        seen.extend(records)

    consumer.handle_with(handler)
    async with TestKafkaBroker(consumer.broker) as broker:
        await broker.publish(b"\xff not json", "warehouse.changes", key=b"acme/A1")
    assert [(record.key, record.value) for record in seen] == [(b"acme/A1", b"\xff not json")]


async def test_null_and_binary_headers_pass_the_parser() -> None:
    consumer = make_consumer()
    seen: list[InboundRecord] = []

    async def handler(records: Any) -> None:
        seen.extend(records)

    consumer.handle_with(handler)
    headers = (("null", None), ("binary", b"\xff\xfe"))
    raw = ConsumerRecord("warehouse.changes", 3, 41, 1_700_000_000_000, 0, b"k", None, None, 1, -1, headers)
    async with TestKafkaBroker(consumer.broker):
        await consumer._subscriber.process_message((raw,))
    assert seen == [InboundRecord("warehouse.changes", 3, 41, 1_700_000_000_000, b"k", None, headers, by_log=False)]
    assert seen[0] == inbound(raw)


def test_a_topic_with_the_brokers_times_says_so() -> None:
    raw = ConsumerRecord("warehouse.changes", 3, 41, 1_700_000_000_000, 1, b"k", None, None, 1, -1, ())
    assert inbound(raw).by_log


async def test_commits_are_explicit_and_rewinds_leave_foreign_partitions_alone() -> None:
    consumer, kafka = make_consumer(), FakeKafkaConsumer()
    consumer._subscriber.consumer = kafka  # type: ignore[assignment] # only what is called
    mine, foreign = ("warehouse.changes", 0), ("warehouse.changes", 1)
    assert await consumer.lag() == {mine: 30}
    await consumer.commit({mine: 42})
    assert kafka.offsets == {KafkaPartition(*mine): (42, "of warehouse.changes")}
    assert await consumer.lag() == {mine: 8}
    assert consumer.seconds_since_fetch(1_700_000_004_000_000) == 4.0
    kafka.refuse = KafkaConnectionError()
    assert await consumer.lag() == {mine: 0}, "a broker that does not answer leaves what the newest fetch said"
    consumer.rewind({mine: 40, foreign: 7})
    assert kafka.sought == [(KafkaPartition(*mine), 40)]


async def test_the_first_batch_of_a_partition_is_lag_until_it_is_committed() -> None:
    consumer, kafka = make_consumer(), FakeKafkaConsumer()
    consumer._subscriber.consumer = kafka  # type: ignore[assignment] # only what is called
    mine = ("warehouse.changes", 0)
    consumer._taking([InboundRecord(*mine, offset, 0, b"k", b"v") for offset in range(40, 50)])
    kafka.at = 50  # the fetch has brought them all; nothing of them is done
    assert await consumer.lag() == {mine: 10}
    await consumer.commit({mine: 50})
    assert await consumer.lag() == {mine: 0}


async def test_the_marker_of_a_transaction_is_no_lag_once_the_fetch_has_passed_it() -> None:
    """`dlq redrive` sends in a transaction, whose marker takes an offset that no record has."""
    consumer, kafka = make_consumer(), FakeKafkaConsumer()
    consumer._subscriber.consumer = kafka  # type: ignore[assignment] # only what is called
    mine = ("warehouse.changes", 0)
    consumer._taking([InboundRecord(*mine, 48, 0, b"k", b"v")])
    await consumer.commit({mine: 49})
    kafka.at = 49
    assert await consumer.lag() == {mine: 1}
    kafka.at = 50
    assert await consumer.lag() == {mine: 0}
    consumer._taking([InboundRecord(*mine, 49, 0, b"k", b"v")])
    assert await consumer.lag() == {mine: 1}, "a record in hand is not done"


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        (CommitFailedError(), LeaseLostError),
        (IllegalStateError(), LeaseLostError),
        (KafkaConnectionError(), LogUnavailableError),
    ],
)
async def test_a_refused_commit_says_whether_the_partitions_are_gone(refusal: Exception, expected: type) -> None:
    consumer, kafka = make_consumer(), FakeKafkaConsumer()
    kafka.refuse = refusal
    consumer._subscriber.consumer = kafka  # type: ignore[assignment] # only what is called
    with pytest.raises(expected):
        await consumer.commit({("warehouse.changes", 0): 42})


async def test_a_rebalance_takes_the_lease_and_is_seen_in_progress() -> None:
    lock, progress = PublishLock(), ConsumerHealth()
    listener = RevocationListener(lock, progress, grace_s=1)
    await listener.on_partitions_assigned({KafkaPartition("warehouse.changes", 0)})
    assert progress.joined
    async with lock.hold() as lease:
        pass
    await listener.on_partitions_revoked({KafkaPartition("warehouse.changes", 0)})
    assert not progress.joined
    with pytest.raises(LeaseLostError):
        lease.check()


async def test_a_batch_that_a_defect_ends_is_not_skipped_but_ends_the_consumer() -> None:
    consumer, taken = make_consumer(), 0

    async def handler(_records: Any) -> None:
        nonlocal taken
        taken += 1
        raise ZeroDivisionError

    consumer.handle_with(handler)
    with capture_logs():
        async with TestKafkaBroker(consumer.broker) as broker:
            publishing = asyncio.create_task(broker.publish(b"{}", "warehouse.changes", key=b"acme/A1"))
            await eventually(lambda: taken)
            with pytest.raises(ConsumerEndedError, match="start again") as ended:
                await asyncio.wait_for(consumer.watch(), 5)
            assert isinstance(ended.value.__cause__, ZeroDivisionError)
            # FastStream would hand out the next batch, whose commit skips this one: nothing returns before the stop.
            assert not publishing.done()
            consumer._stopping.set()
            await publishing


@pytest.mark.parametrize("error", [None, ZeroDivisionError()], ids=["returned", "raised"])
async def test_a_consume_loop_that_ended_ends_the_consumer(error: Exception | None) -> None:
    consumer = make_consumer()

    async def loop() -> None:
        if error is not None:
            raise error

    consumer._subscriber.tasks.append(asyncio.create_task(loop()))
    await asyncio.wait(consumer._subscriber.tasks)
    with capture_logs(), pytest.raises(ConsumerEndedError) as ended:
        await asyncio.wait_for(consumer.watch(), 5)
    assert ended.value.__cause__ is error


async def test_a_consume_loop_that_failed_hands_out_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """FastStream begins it again by itself, whatever it had taken from the client by then."""
    consumer, polls = make_consumer(), 0
    seen: list[InboundRecord] = []

    class Consumer(FakeKafkaConsumer):
        def subscribe(self, **_: Any) -> None: ...

        async def start(self) -> None: ...

        async def stop(self) -> None: ...

        async def getmany(self, **_: Any) -> dict[KafkaPartition, list[Any]]:
            nonlocal polls
            polls += 1
            if polls == 1:
                raise RuntimeError("a defect")
            raw = ConsumerRecord("warehouse.changes", 0, polls, 0, 0, b"k", b"v", None, 1, 1, ())
            return {KafkaPartition("warehouse.changes", 0): [raw]}

    async def handler(records: Any) -> bool:
        seen.extend(records)
        return True

    monkeypatch.setattr(type(consumer._subscriber), "builder", property(lambda _: lambda **_: Consumer()))
    consumer.handle_with(handler)
    await consumer.start()
    with pytest.raises(ConsumerEndedError):
        await consumer.watch()
    assert polls == 2, "the loop was begun again"
    assert not seen
    await consumer.stop()
