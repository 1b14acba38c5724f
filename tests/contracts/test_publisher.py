"""What every `DocumentPublisher` and `DeadLetterSink` holds: Kafka's, and the one in memory that the unit tests rely on."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from indexer.kafka.publisher import KafkaDeadLetterSink, KafkaDocumentPublisher
from indexer.kafka.topics import TopicAdmin
from indexer.ports import DeadLetterSink, DocumentPublisher
from indexer.records import DeadLetter
from runtime.kafka.log_writer import LogWriter, OutboundRecord
from schemas.documents import SearchDocument
from schemas.errors import ConfigurationError, RecordTooLargeError
from schemas.topics import LARGEST_RECORD_BYTES, KafkaSettings, TopicNames
from tests.support.indexing.fakes import DeadLetterLog, DocumentLog, FakeClock, record
from tests.support.kafka.clients import create_topic, read_all
from tests.support.kafka.server import KafkaServer


@dataclass
class Ends:
    """Both ports, and what a reader finds behind them."""

    publisher: DocumentPublisher
    sink: DeadLetterSink
    documents: Callable[[], Awaitable[list[SearchDocument]]]
    buried: Callable[[], Awaitable[list[tuple[bytes | None, bytes | None]]]]


def document(sku: str, rev: int) -> SearchDocument:
    return SearchDocument.model_validate(
        {"tenant": "acme", "sku": sku, "rev": rev, "state": "00", "title": f"Bolt {rev}"}
    )


class PublisherContract:
    async def test_documents_are_there_when_the_call_returns_in_order_per_product(self, ends: Ends) -> None:
        published = [document("A", 1), document("B", 1), document("A", 2), document("A", 3)]
        await ends.publisher.publish(published)
        found = await ends.documents()
        for sku in ("A", "B"):
            assert [one for one in found if one.sku == sku] == [one for one in published if one.sku == sku]

    async def test_publishing_nothing_is_nothing(self, ends: Ends) -> None:
        await ends.publisher.publish([])
        await ends.sink.send([])
        assert await ends.documents() == []

    async def test_dead_letters_keep_key_and_value(self, ends: Ends) -> None:
        kept = [(b"\xff", b"\x00"), (None, b"{}"), (b"k", b"v" * 2_000_000)]
        await ends.sink.send(
            [DeadLetter(record(value, key=key, headers=(("h", None),)), "r", "d") for key, value in kept]
        )
        assert sorted(await ends.buried(), key=str) == sorted(kept, key=str)


class TestInMemory(PublisherContract):
    @pytest.fixture
    def ends(self) -> Ends:
        log, letters = DocumentLog(), DeadLetterLog()

        async def documents() -> list[SearchDocument]:
            return log.documents

        async def buried() -> list[tuple[bytes | None, bytes | None]]:
            return [(letter.record.key, letter.record.value) for letter in letters.letters]

        return Ends(log, letters, documents, buried)


@pytest.mark.integration
class TestOnKafka(PublisherContract):
    @pytest.fixture
    async def ends(self, kafka: KafkaServer, topics: TopicNames) -> AsyncIterator[Ends]:
        settings = KafkaSettings(bootstrap=f"127.0.0.1:{kafka.port}", topics=topics, partitions=3)
        async with TopicAdmin(settings) as admin:
            assert await admin.ensure() == [*topics.consumed, topics.documents, topics.aliases, topics.dead_letters]
            assert await admin.ensure() == []
            assert await admin.log_id() == kafka.cluster_id
        writer = LogWriter(settings)
        await writer.start()

        async def documents() -> list[SearchDocument]:
            found = await read_all(settings.bootstrap, topics.documents)
            assert all(one.key.decode().startswith("acme/") for one in found)
            return [SearchDocument.model_validate_json(one.value) for one in found]

        async def buried() -> list[tuple[bytes | None, bytes | None]]:
            return [(one.key, one.value) for one in await read_all(settings.bootstrap, topics.dead_letters)]

        sink = KafkaDeadLetterSink(writer, topics.dead_letters, clock=FakeClock())
        yield Ends(KafkaDocumentPublisher(writer, topics.documents), sink, documents, buried)
        await writer.stop()

    async def test_a_documents_topic_that_is_not_compacted_is_refused(
        self, kafka: KafkaServer, topics: TopicNames
    ) -> None:
        settings = KafkaSettings(bootstrap=f"127.0.0.1:{kafka.port}", topics=topics, partitions=1)
        await create_topic(settings.bootstrap, topics.documents, partitions=1, config={"cleanup.policy": "delete"})
        async with TopicAdmin(settings) as admin:
            with pytest.raises(ConfigurationError, match="set it to compact"):
                await admin.ensure()

    async def test_change_topics_have_the_brokers_times_and_others_are_told(
        self, kafka: KafkaServer, topics: TopicNames
    ) -> None:
        settings = KafkaSettings(bootstrap=f"127.0.0.1:{kafka.port}", topics=topics, partitions=1)
        await create_topic(settings.bootstrap, topics.changes[0], partitions=1, config={})
        async with TopicAdmin(settings) as admin:
            for _ in range(2):  # at the second start, the bulk topic is one that exists
                with capture_logs() as logs:
                    await admin.ensure()
                told = [entry["topic"] for entry in logs if "LogAppendTime" in entry.get("remedy", "")]
                assert told == [topics.changes[0]]

    async def test_an_absent_topic_is_named_where_topics_are_not_ours_to_create(
        self, kafka: KafkaServer, topics: TopicNames
    ) -> None:
        settings = KafkaSettings(bootstrap=f"127.0.0.1:{kafka.port}", topics=topics, create_topics=False)
        async with TopicAdmin(settings) as admin:
            with pytest.raises(ConfigurationError, match=f"there is no topic {topics.changes[0]}"):
                await admin.ensure()

    async def test_topics_with_less_room_than_ours_are_told_and_take_what_fits_them(
        self, kafka: KafkaServer, topics: TopicNames
    ) -> None:
        settings = KafkaSettings(bootstrap=f"127.0.0.1:{kafka.port}", topics=topics, partitions=1)
        for name, config in (
            (topics.documents, {"cleanup.policy": "compact", "max.message.bytes": "200000"}),
            (topics.dead_letters, {"max.message.bytes": "200000"}),
            (topics.bulk, {"max.message.bytes": "200000"}),
        ):
            await create_topic(settings.bootstrap, name, partitions=1, config=config)
        async with TopicAdmin(settings) as admin:
            with capture_logs() as logs:
                await admin.ensure()
            limits = await admin.limits()
        told = {entry["topic"]: entry["remedy"] for entry in logs if "takes_bytes" in entry}
        assert told.keys() == {topics.documents, topics.dead_letters, topics.bulk}
        assert f"--entity-name {topics.bulk} --add-config max.message.bytes={LARGEST_RECORD_BYTES}" in told[topics.bulk]
        assert limits[topics.documents] == 200_000

        for known in (limits, {}):
            writer = LogWriter(settings)
            writer.carries(known)
            records = [OutboundRecord(b"k%d" % n, b"x" * (300_000 if n == 2 else 1_000), []) for n in range(5)]
            outcome = await writer.append_each(topics.bulk, records)
            assert [type(one) for one in outcome] == [RecordTooLargeError if n == 2 else type(None) for n in range(5)]
            letter = DeadLetter(record(b"v" * 5_000_000, key=b"k"), "r", "d")
            await KafkaDeadLetterSink(writer, topics.dead_letters, clock=FakeClock()).send([letter])
            await writer.stop()
        letters = await read_all(settings.bootstrap, topics.dead_letters)
        assert [dict(one.headers)["ferroflux.size"] for one in letters] == [b"5000000"] * 2

    async def test_a_topic_that_takes_hardly_anything_is_refused(self, kafka: KafkaServer, topics: TopicNames) -> None:
        settings = KafkaSettings(bootstrap=f"127.0.0.1:{kafka.port}", topics=topics, partitions=1)
        await create_topic(settings.bootstrap, topics.dead_letters, partitions=1, config={"max.message.bytes": "10000"})
        async with TopicAdmin(settings) as admin:
            with pytest.raises(ConfigurationError, match="takes records of 10000 bytes"):
                await admin.ensure()
