"""Clients for setting the scene and for looking at the result: create topics, append records, read a topic whole."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import OffsetAndMetadata


@dataclass(frozen=True, slots=True)
class Record:
    """A record to append; `partition` None lets the key decide."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int | None = None


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[Any]:
    """An admin client, closed at the end."""
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def create_topic(
    bootstrap: str, name: str, *, partitions: int = 3, config: Mapping[str, str] | None = None
) -> None:
    """Create one topic with replication factor 1."""
    async with admin(bootstrap) as client:
        await client.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(config or {}))])


@asynccontextmanager
async def producer(bootstrap: str, **options: Any) -> AsyncIterator[Any]:
    """An idempotent producer with acks=all, flushed and stopped at the end."""
    client = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, **options)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def append(bootstrap: str, topic: str, records: Iterable[Record], **options: Any) -> int:
    """Append records in order and wait until the broker has them all; returns how many."""
    async with producer(bootstrap, linger_ms=5, **options) as client:
        pending = [
            await client.send(
                topic, key=record.key, value=record.value, headers=list(record.headers), partition=record.partition
            )
            for record in records
        ]
        for future in pending:
            await future
    return len(pending)


async def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """Next offset of each partition, as a reader of committed records sees it."""
    async with _assigned(bootstrap, topic) as (consumer, partitions):
        ends = await consumer.end_offsets(partitions)
        return {tp.partition: offset for tp, offset in ends.items()}


async def read_all(bootstrap: str, topic: str) -> list[Any]:
    """Every committed record of a topic that is there now, partition by partition in order."""
    records: list[Any] = []
    async with _assigned(bootstrap, topic) as (consumer, partitions):
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)

        async def behind() -> bool:
            return any([await consumer.position(tp) < ends[tp] for tp in partitions])

        while await behind():
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records.extend(batch)
    return sorted(records, key=lambda record: (record.partition, record.offset))


async def committed(bootstrap: str, group: str) -> dict[tuple[str, int], int]:
    """Committed offset of each partition that a consumer group has one for."""
    async with admin(bootstrap) as client:
        offsets: Mapping[TopicPartition, OffsetAndMetadata] = await client.list_consumer_group_offsets(group)
    return {(tp.topic, tp.partition): entry.offset for tp, entry in offsets.items()}


@asynccontextmanager
async def _assigned(bootstrap: str, topic: str) -> AsyncIterator[tuple[Any, Sequence[TopicPartition]]]:
    async with admin(bootstrap) as client:
        (described,) = await client.describe_topics([topic])
    partitions = [TopicPartition(topic, entry["partition"]) for entry in described["partitions"]]
    assert partitions, f"there is no topic {topic}"
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        yield consumer, partitions
    finally:
        await consumer.stop()
