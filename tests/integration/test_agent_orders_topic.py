"""The orders topic on a real broker: made with room for every order, asked what it takes, and one order too large stops no other."""

import uuid
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from agent.conversation.limits import OrderSizeLimit
from agent.orders.outbox import OutboxRow
from agent.orders.publishing import KafkaOrderPublisher, OrdersRefusedError
from ferroflux.embedded.broker import EmbeddedBroker
from schemas.topics import KafkaSettings
from tests.support.kafka.clients import create_topic, read_all

pytestmark = pytest.mark.integration


def row(number: int, size: int = 100) -> OutboxRow:
    return OutboxRow("norte", f"order-{number:04}", b"x" * size, 1, 1)


@pytest.fixture
def topic() -> str:
    return f"orders.submitted.{uuid.uuid4().hex[:8]}"


async def test_a_topic_that_we_make_takes_the_largest_order_that_a_setting_may_name(kafka, topic) -> None:
    room = OrderSizeLimit(4 * 1024 * 1024)
    publisher = KafkaOrderPublisher(KafkaSettings(bootstrap=kafka.bootstrap), topic, room)
    with capture_logs() as logs:
        await publisher.prepare()
    assert room.bytes == 4 * 1024 * 1024
    assert not [line for line in logs if line["log_level"] == "warning"]
    await publisher.publish([row(1, 3_000_000)])
    await publisher.close()


async def test_a_topic_that_takes_less_bounds_orders_and_is_told_with_the_remedy(kafka, topic) -> None:
    await create_topic(kafka.bootstrap, topic, config={"max.message.bytes": "100000"})
    room = OrderSizeLimit(900_000)
    publisher = KafkaOrderPublisher(KafkaSettings(bootstrap=kafka.bootstrap), topic, room)
    with capture_logs() as logs:
        await publisher.prepare()
    assert 90_000 < room.bytes < 100_000
    (warning,) = [line for line in logs if line["log_level"] == "warning"]
    assert f"--entity-name {topic} --add-config max.message.bytes=" in warning["remedy"]
    rows = [replace(row(number), payload=b"x" * (150_000 if number == 2 else 100)) for number in range(5)]
    with pytest.raises(OrdersRefusedError) as refused:
        await publisher.publish(rows)
    assert [(one.order_id, error.code) for one, error in refused.value.refusals.items()] == [
        ("order-0002", "record_too_large")
    ]
    await publisher.close()
    found = await read_all(kafka.bootstrap, topic)
    assert sorted(record.key for record in found) == [f"order-{number:04}".encode() for number in (0, 1, 3, 4)]


async def test_the_embedded_broker_which_tells_no_limit_takes_orders(topic) -> None:
    broker = await EmbeddedBroker.start()
    room = OrderSizeLimit(900_000)
    publisher = KafkaOrderPublisher(KafkaSettings(bootstrap=broker.address, create_topics=False), topic, room)
    await publisher.publish([row(1, 800_000)])
    assert room.bytes == 900_000
    await publisher.close()
    await broker.stop()
