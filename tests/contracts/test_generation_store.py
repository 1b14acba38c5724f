"""The contract of the generations' records in memory, in a file, and in a topic of real Kafka."""

import asyncio

import pytest

from retrieval.generations import transitions
from retrieval.generations.file import FileGenerationStore, GenerationFile
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.generations.port import MemoryGenerationStore
from retrieval.generations.view import view_of
from schemas.errors import ConfigurationError, IncompatibleIndexError
from schemas.topics import KafkaSettings
from tests.contracts.generation_store_suite import GenerationStoreContract, manifest, prepared
from tests.support.waiting import eventually


class TestMemory(GenerationStoreContract):
    @pytest.fixture
    async def store(self):
        return MemoryGenerationStore()


class TestFile(GenerationStoreContract):
    @pytest.fixture
    async def store(self, tmp_path):
        return FileGenerationStore(tmp_path)

    async def test_two_processes_see_one_file(self, store, tmp_path):
        other = FileGenerationStore(tmp_path)
        file = GenerationFile(tmp_path)
        assert file.stamp() is None
        await prepared(store, "a")
        stamp = file.stamp()
        assert view_of(await other.records()).prepared() == ("main", "a")
        await other.commit(transitions.promote("a", expected_epoch=0, now_us=1))
        assert file.stamp() != stamp
        assert view_of(await store.records()).live == "a"

    async def test_a_damaged_file_is_refused_with_a_remedy(self, store, tmp_path):
        (tmp_path / "generations.json").write_text("{")
        with pytest.raises(IncompatibleIndexError, match="restore it"):
            await store.records()


@pytest.mark.integration
class TestKafka(GenerationStoreContract):
    @pytest.fixture
    async def store(self, kafka, topics):
        store = KafkaGenerationStore(KafkaSettings(bootstrap=kafka.bootstrap, topics=topics))
        yield store
        await store.close()

    async def test_followers_hear_of_every_change_and_of_no_report(self, store, kafka, topics):
        heard = []

        async def hear(records):
            heard.append(view_of(records))

        other = KafkaGenerationStore(KafkaSettings(bootstrap=kafka.bootstrap, topics=topics))
        following = asyncio.create_task(other.follow(hear))
        await eventually(lambda: heard, timeout=20)
        assert heard[0].names() == ("main",)
        await prepared(store, "a")
        await eventually(lambda: heard[-1].prepared() == ("main", "a"), timeout=20)
        await store.commit(transitions.promote("a", expected_epoch=0, now_us=1))
        await eventually(lambda: heard[-1].live == "a", timeout=20)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    async def test_an_absent_topic_is_only_made_where_that_is_allowed(self, kafka, topics):
        settings = KafkaSettings(bootstrap=kafka.bootstrap, topics=topics, create_topics=False)
        store = KafkaGenerationStore(settings)
        assert await store.records() == {}
        with pytest.raises(ConfigurationError, match="one partition"):
            await store.commit(transitions.create(manifest("a"), now_us=1))
