"""The servers that the other integration tests stand on do what those tests take for granted."""

import asyncpg
import pytest

from schemas.topics import TopicNames
from tests.support.kafka.clients import Record, append, create_topic, end_offsets, read_all
from tests.support.kafka.server import KafkaServer
from tests.support.postgres.server import PostgresServer

pytestmark = pytest.mark.integration


async def test_kafka_keeps_records_over_kill_and_restart(breakable_kafka: KafkaServer, topics: TopicNames):
    await create_topic(breakable_kafka.bootstrap, topics.documents, partitions=2)
    records = [Record(b"key-%d" % number, b"value-%d" % number) for number in range(100)]
    await append(breakable_kafka.bootstrap, topics.documents, records)

    breakable_kafka.kill()
    breakable_kafka.start()

    kept = await read_all(breakable_kafka.bootstrap, topics.documents)
    assert {record.value for record in kept} == {record.value for record in records}
    assert sum((await end_offsets(breakable_kafka.bootstrap, topics.documents)).values()) == 100


async def test_postgres_replicates_logically(postgres: PostgresServer):
    connection = await asyncpg.connect(postgres.dsn())
    try:
        assert await connection.fetchval("SHOW wal_level") == "logical"
    finally:
        await connection.close()
