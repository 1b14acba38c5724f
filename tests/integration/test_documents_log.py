"""The tailer's log adapter on real Apache Kafka, with an index in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete

from indexer.deadletters.kafka import KafkaDeadLetterStore
from indexer.deadletters.service import DeadLetterService, LetterFilter
from query_api.replica.settings import TailSettings
from query_api.replica.tailing.kafka import KafkaDocumentLog, KafkaLetterBox
from query_api.replica.tailing.tailer import ReplicaTailer
from retrieval.text.port import Checkpoint
from runtime.clock import SystemClock
from runtime.kafka.log_writer import LogWriter
from runtime.retry import Backoff
from schemas.topics import KafkaSettings
from tests.support.kafka.clients import Record, admin, append, create_topic, read_all
from tests.support.waiting import eventually
from tests.unit.query_api.replica.fakes import FakeWriter, document, key

pytestmark = pytest.mark.integration

TAIL = TailSettings(silence_s=1.5, metadata_age_s=0.5, retry_first_s=0.05, retry_most_s=0.5)


def record(sku: str, rev: int = 1, partition: int | None = None) -> Record:
    entry = document(sku, rev)
    return Record(entry.key.kafka_key, entry.to_bytes(), partition=partition)


@asynccontextmanager
async def tailing(bootstrap, topics, writer, letters=None) -> AsyncIterator[ReplicaTailer]:
    settings = KafkaSettings(bootstrap=bootstrap, topics=topics)
    tailer = ReplicaTailer(
        writer,
        lambda: KafkaDocumentLog(settings, TAIL),
        topic=topics.documents,
        report_to=None,
        letters=letters,
        backoff=Backoff(TAIL.backoff),
    )
    running = asyncio.create_task(tailer.run())
    try:
        yield tailer
    finally:
        tailer.request_stop()
        await running


async def test_it_waits_for_the_topic_and_then_reads_it(kafka, topics):
    writer = FakeWriter()
    async with tailing(kafka.bootstrap, topics, writer) as tailer:
        await eventually(lambda: "no topic" in (tailer.not_ready or ""))
        await create_topic(kafka.bootstrap, topics.documents)
        await append(kafka.bootstrap, topics.documents, [record(f"S{number}") for number in range(200)])
        await eventually(lambda: len(writer.held) == 200 and tailer.not_ready is None, timeout=20)
    assert writer.checkpoint().log_id.startswith(f"{kafka.cluster_id}/")
    assert sum(writer.checkpoint().offsets.values()) == 200


async def test_open_and_aborted_transactions_are_not_read_and_their_markers_leave_no_lag(kafka, topics):
    await create_topic(kafka.bootstrap, topics.documents, partitions=1)
    writer = FakeWriter()
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, transactional_id=f"tx-{topics.documents}")
    await producer.start()
    try:
        async with tailing(kafka.bootstrap, topics, writer) as tailer:
            await eventually(lambda: tailer.not_ready is None)
            for number, commit in enumerate((True, False, True)):
                await producer.begin_transaction()
                entry = document(f"T{number}")
                await producer.send_and_wait(topics.documents, entry.to_bytes(), key=entry.key.kafka_key)
                await (producer.commit_transaction() if commit else producer.abort_transaction())
            await eventually(lambda: set(writer.held) == {key("T0"), key("T2")})
            await eventually(lambda: tailer.report.partitions[0].position == 6)
            assert tailer.report.partitions[0].lag == 0
        async with tailing(kafka.bootstrap, topics, writer) as again:
            await eventually(lambda: again.not_ready is None)
    finally:
        await producer.stop()


async def test_added_partitions_are_picked_up_while_it_runs(kafka, topics):
    await create_topic(kafka.bootstrap, topics.documents, partitions=1)
    writer = FakeWriter()
    async with tailing(kafka.bootstrap, topics, writer) as tailer:
        await eventually(lambda: tailer.not_ready is None)
        async with admin(kafka.bootstrap) as client:
            await client.create_partitions({topics.documents: NewPartitions(total_count=3)})
        await append(kafka.bootstrap, topics.documents, [record("N", partition=2), record("O", partition=0)])
        await eventually(lambda: {key("N"), key("O")} <= set(writer.held), timeout=20)
    assert set(writer.checkpoint().offsets) == {0, 1, 2}


async def test_deleted_records_are_passed_over_from_what_is_left(kafka, topics):
    await create_topic(kafka.bootstrap, topics.documents, partitions=1)
    await append(kafka.bootstrap, topics.documents, [record(f"S{number}") for number in range(10)])
    writer = FakeWriter()
    writer.commits.append(Checkpoint(kafka.cluster_id, {0: 3}))
    async with admin(kafka.bootstrap) as client:
        await client.delete_records({TopicPartition(topics.documents, 0): RecordsToDelete(before_offset=7)})
    async with tailing(kafka.bootstrap, topics, writer) as tailer:
        await eventually(lambda: tailer.not_ready is None)
        assert tailer.metrics.registry.get_sample_value("ferroflux_replica_rewound_partitions_total") == 1
    assert set(writer.held) == {key(f"S{number}") for number in (7, 8, 9)}


async def test_two_replicas_make_one_letter_of_a_record_that_is_no_document(kafka, topics):
    await create_topic(kafka.bootstrap, topics.documents, partitions=1)
    await create_topic(kafka.bootstrap, topics.dead_letters, partitions=1)
    bad = Record(b"acme/BAD", b"no json")
    faulty = Record(b"acme/F", document("F").to_bytes().replace(b"}", b',"price":"much"}'))
    await append(kafka.bootstrap, topics.documents, [record("A"), bad, faulty, record("B")])
    settings = KafkaSettings(bootstrap=kafka.bootstrap, topics=topics)
    producer = LogWriter(settings)
    box = KafkaLetterBox(producer, topics.dead_letters)
    service = DeadLetterService(KafkaDeadLetterStore(settings, clock=SystemClock()))
    first, second = FakeWriter(), FakeWriter()
    try:
        async with tailing(kafka.bootstrap, topics, first, box), tailing(kafka.bootstrap, topics, second, box):
            for writer in (first, second):
                await eventually(lambda writer=writer: set(writer.held) == {key("A"), key("B"), key("F")})
                await eventually(lambda writer=writer: len(writer.set_apart().ledger.entries) == 2)
                await eventually(lambda writer=writer: not writer.set_apart().ledger.untold, timeout=20)
            letters = await service.open_letters(LetterFilter())
            # Told in one batch, so at one time: their order among themselves means nothing.
            assert sorted((one.reason, one.original.value) for one in letters) == [
                ("malformed_document", bad.value),
                ("partly_indexed", faulty.value),
            ]
            assert len(await read_all(kafka.bootstrap, topics.dead_letters)) == 4
            # It fails again: one letter, with a higher count. What a newer document mends leaves by itself.
            assert (await service.redrive(LetterFilter(reason="malformed_document"))).settled == 1
            await append(kafka.bootstrap, topics.documents, [record("F", rev=2)])
            for writer in (first, second):
                await eventually(lambda writer=writer: "partly_indexed" not in writer.set_apart().counts)
                await eventually(lambda writer=writer: not writer.set_apart().ledger.untold, timeout=20)
            letters = await service.open_letters(LetterFilter(reason="malformed_document"))
            assert [one.attempt for one in letters] == [2]
    finally:
        await producer.stop()


@pytest.mark.parametrize("silence", ["frozen", "killed"])
async def test_a_broker_that_is_away_is_told_and_nothing_is_lost_when_it_is_back(breakable_kafka, topics, silence):
    await create_topic(breakable_kafka.bootstrap, topics.documents)
    await append(breakable_kafka.bootstrap, topics.documents, [record("A")])
    writer = FakeWriter()
    async with tailing(breakable_kafka.bootstrap, topics, writer) as tailer:
        await eventually(lambda: tailer.not_ready is None)
        if silence == "frozen":
            breakable_kafka.suspend()
        else:
            breakable_kafka.kill()
        await eventually(lambda: tailer.not_ready is not None, timeout=20)
        if silence == "frozen":
            breakable_kafka.resume()
        else:
            breakable_kafka.start()
        await append(breakable_kafka.bootstrap, topics.documents, [record("B")])
        await eventually(lambda: set(writer.held) == {key("A"), key("B")}, timeout=30)
        await eventually(lambda: tailer.not_ready is None, timeout=30)
    assert sum(writer.checkpoint().offsets.values()) == 2


@pytest.mark.parametrize("running", [False, True], ids=["while it is stopped", "while it runs"])
async def test_a_topic_that_is_made_again_is_read_from_its_beginning(kafka, topics, running):
    writer = FakeWriter()

    async def make_again():
        async with admin(kafka.bootstrap) as client:
            await client.delete_topics([topics.documents])
        await create_topic(kafka.bootstrap, topics.documents, partitions=1)
        # More than the former held: its offsets are there in this one, too.
        await append(kafka.bootstrap, topics.documents, [record(f"N{number}") for number in range(40)])

    await create_topic(kafka.bootstrap, topics.documents, partitions=1)
    await append(kafka.bootstrap, topics.documents, [record(f"S{number}") for number in range(20)])
    async with tailing(kafka.bootstrap, topics, writer) as tailer:
        await eventually(lambda: len(writer.held) == 20 and tailer.not_ready is None, timeout=20)
        if running:
            await make_again()
            await eventually(lambda: len(writer.held) == 60, timeout=20)
    if not running:
        await make_again()
        async with tailing(kafka.bootstrap, topics, writer):
            await eventually(lambda: len(writer.held) == 60, timeout=20)
