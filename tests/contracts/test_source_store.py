"""The contract of the history of sources in memory, in a file, and in a topic of real Kafka."""

import asyncio
import time
from functools import partial

import pytest

from indexer.sources.file import FileSourceStore
from indexer.sources.kafka import KafkaSourceStore
from indexer.sources.live import LiveSources, SourcesUnknownError
from indexer.sources.port import MemorySourceStore
from runtime.clock import SYSTEM_CLOCK
from schemas.errors import ConfigurationError, IncompatibleIndexError
from schemas.product.sources import HOLDS_AFTER_MS
from schemas.topics import KafkaSettings
from tests.contracts.source_store_suite import SourceStoreContract, hand_over
from tests.support.clock import ClockOf
from tests.support.indexing.fakes import FakeClock
from tests.support.waiting import eventually


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class TestMemory(SourceStoreContract):
    @pytest.fixture
    async def store(self):
        return MemorySourceStore(SYSTEM_CLOCK)


class TestFile(SourceStoreContract):
    @pytest.fixture
    async def store(self, tmp_path):
        return FileSourceStore(tmp_path / "sources.json", SYSTEM_CLOCK)

    async def test_an_entry_outlives_the_process_and_was_heard_of_before_the_answer(self, tmp_path):
        live, clock = LiveSources(), FakeClock()
        added = await FileSourceStore(tmp_path / "sources.json", clock, live.hear).add(partial(hand_over, "a"))
        assert added.since_ms == clock.now_us() // 1_000 + HOLDS_AFTER_MS
        assert list(live.history().entries.values()) == [added]
        assert await FileSourceStore(tmp_path / "sources.json", SYSTEM_CLOCK).entries() == (added,)

    @pytest.mark.parametrize("damaged", ["{", "[1]", '{"a": 1}', "[[]]"])
    async def test_a_damaged_file_is_refused_with_a_remedy(self, store, tmp_path, damaged):
        (tmp_path / "sources.json").write_text(damaged)
        with pytest.raises(IncompatibleIndexError, match="restore the file"):
            await store.entries()


class TestLive:
    def test_it_says_so_where_it_does_not_know(self):
        now = [100.0]
        live = LiveSources(ClockOf(lambda: now[0]), fresh_for_s=3.0)
        with pytest.raises(SourcesUnknownError):
            live.history()
        live.hear((), age_s=1.0)
        now[0] = 101.9
        history = live.history()
        live.hear((), age_s=0.0)
        assert live.history() is history, "what did not change costs nobody a look"
        now[0] = 105.0
        with pytest.raises(SourcesUnknownError):
            live.history()


@pytest.mark.integration
class TestKafka(SourceStoreContract):
    @pytest.fixture
    async def settings(self, kafka, topics):
        return KafkaSettings(bootstrap=kafka.bootstrap, topics=topics)

    @pytest.fixture
    async def store(self, settings):
        return KafkaSourceStore(settings)

    async def test_a_follower_hears_of_each_entry_long_before_it_holds(self, store, settings):
        live = LiveSources()
        following = asyncio.create_task(KafkaSourceStore(settings).follow(live))
        await eventually(lambda: _heard(live) == 0, timeout=20)
        entry = await store.add(partial(hand_over, "a"))
        await eventually(lambda: _heard(live) == 1, timeout=20)
        assert now_ms() < entry.since_ms, "a record that the entry decides over cannot be there yet"
        assert list(live.history().entries.values()) == [entry]
        await asyncio.sleep(4.0)
        assert _heard(live) == 1, "its knowledge stays new while nothing is written"
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)

    async def test_an_absent_topic_is_only_made_where_that_is_allowed(self, settings):
        store = KafkaSourceStore(settings.model_copy(update={"create_topics": False}))
        assert list(await store.entries()) == []
        with pytest.raises(ConfigurationError, match="LogAppendTime"):
            await store.add(partial(hand_over, "a"))


def _heard(live: LiveSources) -> int | None:
    try:
        return len(live.history().entries)
    except SourcesUnknownError:
        return None
