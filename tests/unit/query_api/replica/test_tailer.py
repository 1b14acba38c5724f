"""The tailer on a log and an index in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from query_api.replica.tailing.tailer import ReplicaTailer
from retrieval.serving.replica_status import read_status
from retrieval.text.port import Checkpoint
from runtime.retry import Backoff, BackoffPolicy
from schemas.documents import DocumentTimes
from tests.support.waiting import eventually
from tests.unit.query_api.replica.fakes import FakeBroker, FakeWriter, SetClock, document, key


class Scene:
    def __init__(self, folder: Path) -> None:
        self.broker = FakeBroker()
        self.writer = FakeWriter()
        self.clock = SetClock()
        self.folder = folder
        self.rests = 0

    async def rest(self) -> None:
        self.rests += 1

    def tailer(self) -> ReplicaTailer:
        return ReplicaTailer(
            self.writer,
            self.broker.connect,
            topic="catalog.documents",
            report_to=self.folder,
            backoff=Backoff(BackoffPolicy(0.001, 0.002)),
            clock=self.clock,
            rest=self.rest,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ReplicaTailer]:
        tailer = self.tailer()
        running = asyncio.create_task(tailer.run())
        yield tailer
        tailer.request_stop()
        await running

    def holds(self, **revisions: int) -> Callable[[], bool]:
        return lambda: {str(entry.sku): entry.rev for entry in self.writer.held.values()} == revisions


@pytest.fixture
def scene(tmp_path) -> Scene:
    return Scene(tmp_path)


async def test_documents_and_offsets_are_committed_together(scene):
    scene.broker.append(0, document("A"))
    scene.broker.append(1, document("B"))
    async with scene.running():
        await eventually(scene.holds(A=1, B=1))
    assert scene.writer.checkpoint() == Checkpoint("log-1", {0: 1, 1: 1})


async def test_a_restart_goes_on_at_the_checkpoint(scene):
    scene.broker.append(0, document("A"))
    async with scene.running():
        await eventually(scene.holds(A=1))
    scene.writer.forget()
    scene.broker.append(0, document("B"))
    async with scene.running():
        await eventually(scene.holds(B=1))


async def test_a_crash_before_the_commit_neither_loses_nor_doubles(scene):
    scene.broker.append(0, document("A"))
    scene.writer.fail_with = RuntimeError("killed")
    tailer = scene.tailer()
    with pytest.raises(RuntimeError, match="killed"):
        await tailer.run()
    assert scene.writer.checkpoint() is None
    async with scene.running() as again:
        await eventually(scene.holds(A=1))
        await eventually(lambda: again.report.caught_up)
    assert again.report.written == 1


async def test_another_log_is_read_from_its_beginning_over_the_kept_data(scene):
    scene.broker.append(0, document("A", 5))
    scene.broker.append(1, document("B", 5))
    async with scene.running():
        await eventually(scene.holds(A=5, B=5))
    scene.broker = FakeBroker(log_id="log-2")
    scene.broker.append(0, document("A", 6))
    scene.broker.append(0, document("B", 4))
    async with scene.running() as tailer:
        await eventually(scene.holds(A=6, B=5))
        await eventually(lambda: tailer.report.outdated == 1)
    assert scene.writer.checkpoint() == Checkpoint("log-2", {0: 2, 1: 0})


async def test_a_topic_that_was_made_again_is_read_from_its_beginning_though_it_is_longer_than_the_former(scene):
    scene.broker = FakeBroker(log_id="c/t1")
    scene.broker.append(0, document("A", 5))
    async with scene.running():
        await eventually(scene.holds(A=5))
    scene.broker = FakeBroker(log_id="c/t2")
    scene.broker.append(0, document("A", 6))
    scene.broker.append(0, document("B", 4))
    async with scene.running():
        await eventually(scene.holds(A=6, B=4))
    assert scene.writer.checkpoint() == Checkpoint("c/t2", {0: 2, 1: 0})


async def test_a_checkpoint_of_the_release_before_adopts_the_topic_though_nothing_comes(scene):
    scene.broker = FakeBroker(log_id="c/t1")
    scene.broker.append(0, document("A", 5))
    scene.writer.commits.append(Checkpoint("c", {0: 1, 1: 0}))
    async with scene.running() as tailer:
        await eventually(lambda: scene.writer.checkpoint() == Checkpoint("c/t1", {0: 1, 1: 0}))
        await eventually(lambda: tailer.report.caught_up)
    assert scene.writer.held == {}


async def test_offsets_that_the_log_lost_are_read_from_what_is_left(scene):
    scene.writer.commits.append(Checkpoint("log-1", {0: 1, 1: 0}))
    for sku in "ABCD":
        scene.broker.append(0, document(sku))
    scene.broker.begin[0] = 2
    async with scene.running() as tailer:
        await eventually(scene.holds(C=1, D=1))
    assert tailer.metrics.registry.get_sample_value("ferroflux_replica_rewound_partitions_total") == 1


async def test_offsets_lost_while_running_are_read_from_what_is_left(scene):
    scene.broker.batch = 1
    async with scene.running() as tailer:
        await eventually(lambda: tailer.not_ready is None)
        for sku in "ABCD":
            scene.broker.append(0, document(sku))
        scene.broker.begin[0] = 3
        await eventually(lambda: key("D") in scene.writer.held)
    assert scene.writer.checkpoint() == Checkpoint("log-1", {0: 4, 1: 0})


async def test_added_partitions_are_followed_while_it_runs(scene):
    async with scene.running() as tailer:
        await eventually(lambda: tailer.not_ready is None)
        scene.broker.records[2] = []
        scene.broker.append(2, document("N"))
        await eventually(scene.holds(N=1))
    assert scene.writer.checkpoint() == Checkpoint("log-1", {0: 0, 1: 0, 2: 1})


async def test_a_record_that_is_no_document_is_passed_counted_and_logged(scene):
    scene.broker.append(0, b"not json", b"acme/X")
    scene.broker.append(0, document("A"))
    with capture_logs() as logs:
        async with scene.running() as tailer:
            await eventually(scene.holds(A=1))
            await eventually(lambda: tailer.report.malformed == 1)
    (told,) = [line for line in logs if line["event"] == "set apart" and "count" in line]
    assert (told["record"], told["reason"], told["log_level"]) == ("0@0", "malformed_document", "warning")
    assert scene.writer.checkpoint() == Checkpoint("log-1", {0: 2, 1: 0})


async def test_a_collected_tombstone_lets_the_product_begin_again(scene):
    scene.broker.append(0, document("A", 9, deleted=True))
    async with scene.running():
        await eventually(scene.holds(A=9))
        scene.broker.append(0, None, b"acme/A")
        await eventually(scene.holds())
        scene.broker.append(0, document("A", 1))
        await eventually(scene.holds(A=1))


async def test_while_the_log_is_away_it_says_so_and_goes_on_when_it_is_back(scene):
    scene.broker.append(0, document("A"))
    async with scene.running() as tailer:
        await eventually(lambda: tailer.not_ready is None)
        scene.broker.down = True
        await eventually(lambda: tailer.not_ready is not None)
        assert "down" in tailer.not_ready
        assert tailer.report.caught_up
        assert tailer.metrics.registry.get_sample_value("ferroflux_replica_following") == 0
        scene.broker.append(0, document("B"))
        scene.broker.down = False
        await eventually(scene.holds(A=1, B=1))
        await eventually(lambda: tailer.not_ready is None)


async def test_it_is_not_ready_before_the_end_that_the_log_had(scene):
    for number in range(50):
        scene.broker.append(0, document(f"S{number}"))
    assert scene.tailer().not_ready == "the log's first answer"
    scene.broker.batch = 0
    async with scene.running() as tailer:
        await eventually(lambda: tailer.not_ready == "catching up: 50 records")
        scene.broker.batch = 20
        await eventually(lambda: tailer.not_ready is None)
        assert len(scene.writer.held) == 50


async def test_freshness_is_sampled_for_changes_and_not_for_what_was_caught_up_on(scene):
    scene.broker.append(0, document("OLD", times=DocumentTimes(changed_us=1)))
    async with scene.running() as tailer:
        await eventually(lambda: tailer.not_ready is None)
        scene.clock.us += 60_000
        times = DocumentTimes(changed_us=scene.clock.us - 30_000, logged_us=scene.clock.us - 20_000)
        scene.broker.append(0, document("NEW", times=times))
        await eventually(lambda: tailer.report.samples)
    assert list(tailer.report.samples) == [(times.changed_us, times.logged_us, 0, scene.clock.us)]
    value = tailer.metrics.registry.get_sample_value
    assert value("ferroflux_replica_freshness_seconds_sum", {"since": "changed"}) == pytest.approx(0.03)
    assert value("ferroflux_replica_freshness_seconds_count", {"since": "indexed"}) is None


async def test_what_a_repair_publishes_again_says_nothing_of_freshness(scene):
    async with scene.running() as tailer:
        await eventually(lambda: tailer.not_ready is None)
        scene.broker.append(0, document("MENDED", times=DocumentTimes(changed_us=1, indexed_us=scene.clock.us)))
        await eventually(lambda: len(scene.writer.held) == 1)
        await eventually(lambda: tailer.report.caught_up)
    assert list(tailer.report.samples) == []


async def test_a_bulk_load_says_nothing_of_freshness(scene):
    async with scene.running() as tailer:
        await eventually(lambda: tailer.not_ready is None)
        times = DocumentTimes(changed_us=1, logged_us=scene.clock.us - 60_000_000, backfill=True)
        scene.broker.append(0, document("LOADED", times=times))
        await eventually(lambda: len(scene.writer.held) == 1)
        await eventually(lambda: tailer.report.caught_up)
    assert list(tailer.report.samples) == []


async def test_the_report_is_a_heartbeat_and_tells_the_progress(scene):
    scene.broker.append(0, document("A"))
    async with scene.running() as tailer:
        await eventually(lambda: tailer.report.written == 1)
        scene.clock.us += 1_000_000
        await eventually(lambda: (status := read_status(scene.folder)) and status.written_us == scene.clock.us)
    status = read_status(scene.folder)
    assert (status.log_id, status.caught_up, status.written, status.lag) == ("log-1", True, 1, 0)
    assert [(part.partition, part.position, part.end) for part in status.partitions] == [(0, 1, 1), (1, 0, 0)]


async def test_a_burst_becomes_few_commits(scene):
    for number in range(1000):
        scene.broker.append(number % 2, document(f"S{number}"))
    async with scene.running() as tailer:
        await eventually(lambda: tailer.report.caught_up)
    assert len(scene.writer.commits) == 10
    assert len(scene.writer.held) == 1000


async def test_it_rests_between_commits_but_not_while_catching_up(scene):
    for number in range(1000):
        scene.broker.append(0, document(f"S{number}"))
    async with scene.running() as tailer:
        await eventually(lambda: tailer.not_ready is None)
        assert scene.rests <= 1
        before = scene.rests
        scene.broker.append(0, document("N"))
        await eventually(lambda: scene.rests == before + 1)


async def test_cancelling_leaves_no_commit_behind(scene):
    scene.broker.append(0, document("A"))
    task = asyncio.create_task(scene.tailer().run())
    await eventually(scene.holds(A=1))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    commits = len(scene.writer.commits)
    scene.broker.append(0, document("B"))
    await asyncio.sleep(0.01)
    assert len(scene.writer.commits) == commits
