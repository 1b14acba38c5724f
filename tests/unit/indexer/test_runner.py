"""Batches and their offsets: what is committed, what is rewound, and what a revocation takes away."""

import asyncio
import random
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from indexer.consuming.publish_lock import PublishLock
from indexer.consuming.runner import BatchRunner, JournalledLog, Observers
from indexer.metrics import IndexerMetrics
from indexer.ports import LeaseLostError, Published, Timing
from indexer.readiness import ConsumerHealth
from indexer.records import InboundRecord, LogId
from runtime.retry import BackoffPolicy
from schemas.errors import ConfigurationError, LogUnavailableError, StoreUnavailableError
from tests.support.indexing.fakes import TOPIC, DocumentLog, FakeClock, FakeControl, event, make_pipeline, record

NEW = event("A1", "item", 10, {"title": "Bolt"})
BATCH = [record(NEW, 7, partition=0), record(NEW, 9, partition=0), record(b"bad", 3, partition=2)]


class Journal:
    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.kept: list[InboundRecord] = []

    async def append(self, log_id: LogId, records: Any) -> Any:
        self.calls.append(("append", (log_id, len(records))))
        self.kept += records
        return records

    async def mark_applied(self, log_id: LogId, next_offsets: Any) -> None:
        self.calls.append(("applied", (log_id, dict(next_offsets))))


class Setting:
    def __init__(self, *, journal: Journal | None = None, **parts: Any) -> None:
        self.control, self.lock, self.progress = FakeControl(), PublishLock(), ConsumerHealth()
        self.registry = CollectorRegistry()
        self.log = parts.setdefault("publisher", DocumentLog())
        self.runner = BatchRunner(
            make_pipeline(**parts),
            self.control,
            self.lock,
            Observers(self.progress, IndexerMetrics(self.registry)),
            Timing(FakeClock(), random.Random(1)),
            backoff=BackoffPolicy(base_s=0.001, cap_s=0.002),
            journal=None if journal is None else JournalledLog(journal, LogId("cluster-1")),
        )

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


async def test_explicit_offsets_are_committed_after_everything_else() -> None:
    setting = Setting()
    await setting.runner.run(BATCH)
    assert setting.control.committed == [{(TOPIC, 0): 10, (TOPIC, 2): 4}]
    assert setting.control.rewound == []
    assert setting.progress.failures == 0
    assert setting.count("ferroflux_indexer_dead_letters_total", reason="unparsable") == 1
    assert setting.count("duplicates_total") == 1


async def test_what_is_journalled_has_the_journals_time_whatever_its_producers_clock_says() -> None:
    journal = Journal()
    setting = Setting(journal=journal)
    await setting.runner.run([replace(one, by_log=False, timestamp_ms=9 * 10**15) for one in BATCH])
    assert {(one.timestamp_ms, one.by_log) for one in journal.kept} == {(1_000_000, True)}


async def test_a_failed_batch_commits_nothing_rewinds_and_comes_through_later() -> None:
    setting = Setting()
    setting.log.fail_next = LogUnavailableError()
    await setting.runner.run(BATCH)
    assert setting.control.committed == []
    assert setting.control.rewound == [{(TOPIC, 0): 7, (TOPIC, 2): 3}]
    assert setting.progress.failure is not None
    assert setting.progress.failure.code == "log_unavailable"

    await setting.runner.run(BATCH)
    assert setting.control.committed == [{(TOPIC, 0): 10, (TOPIC, 2): 4}]
    assert setting.progress.failure is None


async def test_a_defect_is_no_reason_to_skip_a_batch() -> None:
    setting = Setting()
    setting.log.fail_next = ZeroDivisionError()
    await setting.runner.run(BATCH)
    assert (setting.control.committed, len(setting.control.rewound)) == ([], 1)
    assert setting.count("ferroflux_indexer_batch_retries_total", code="unexpected") == 1


async def test_a_batch_that_fails_again_and_again_with_a_defect_ends_the_process_with_the_reason() -> None:
    setting = Setting()
    for _ in range(49):
        setting.log.fail_next = ZeroDivisionError("of ours")
        await setting.runner.run(BATCH)
    setting.log.fail_next = ZeroDivisionError("of ours")
    running = asyncio.create_task(setting.runner.run(BATCH))
    error = await setting.runner.failed()
    assert (error.code, "of ours" in str(error)) == ("defect", True)
    setting.runner.stop()
    await running
    assert setting.control.committed == []


async def test_a_store_that_stays_away_is_waited_for_without_end() -> None:
    setting = Setting()
    for _ in range(60):
        setting.log.fail_next = StoreUnavailableError()
        await setting.runner.run(BATCH)
    assert setting.progress.failures == 60
    await setting.runner.run(BATCH)
    assert len(setting.control.committed) == 1


async def test_a_refused_commit_leaves_the_batch_to_the_new_owner() -> None:
    setting = Setting()
    setting.control.refuse = LeaseLostError()
    await setting.runner.run(BATCH)
    assert setting.control.rewound == []
    assert setting.count("ferroflux_indexer_batches_total", result="lease_lost") == 1


async def test_an_unanswered_commit_reads_the_batch_again() -> None:
    setting = Setting()
    setting.control.refuse = LogUnavailableError()
    await setting.runner.run(BATCH)
    assert setting.control.rewound


async def test_a_fatal_error_stops_the_consumer_and_commits_nothing() -> None:
    setting = Setting()
    setting.log.fail_next = ConfigurationError("the topic is gone")
    running = asyncio.create_task(setting.runner.run(BATCH))
    assert str(await setting.runner.failed()) == "the topic is gone"
    assert not running.done()
    setting.runner.stop()
    await running
    assert setting.control.committed == []


async def test_a_stop_ends_the_rest_after_a_failure_at_once() -> None:
    setting = Setting()
    setting.runner._backoff = BackoffPolicy(base_s=1_000, cap_s=1_000)
    setting.log.fail_next = StoreUnavailableError()
    running = asyncio.create_task(setting.runner.run(BATCH))
    for _ in range(50):
        await asyncio.sleep(0)
    assert setting.progress.failures == 1
    setting.runner.stop()
    await asyncio.wait_for(running, 1)


async def test_the_journal_has_the_batch_before_and_its_end_before_the_commit() -> None:
    journal = Journal()
    setting = Setting(journal=journal)
    await setting.runner.run(BATCH)
    assert journal.calls == [
        ("append", ("cluster-1", 3)),
        ("applied", ("cluster-1", {(TOPIC, 0): 10, (TOPIC, 2): 4})),
    ]


class Slow(DocumentLog):
    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

    async def publish(self, documents: Any) -> Published:
        self.begun.set()
        await self.go_on.wait()
        return await super().publish(documents)


async def test_a_revocation_lets_the_batch_in_progress_finish_and_commit() -> None:
    log = Slow()
    setting = Setting(publisher=log)
    running = asyncio.create_task(setting.runner.run(BATCH))
    await log.begun.wait()
    revoking = asyncio.create_task(setting.lock.revoke(grace_s=5))
    await asyncio.sleep(0)
    assert not revoking.done()
    log.go_on.set()
    assert await revoking
    await running
    assert setting.control.committed


async def test_a_revocation_ends_the_lease_of_a_batch_that_does_not_finish() -> None:
    log = Slow()
    setting = Setting(publisher=log)
    running = asyncio.create_task(setting.runner.run(BATCH))
    await log.begun.wait()
    assert not await setting.lock.revoke(grace_s=0.01)
    log.go_on.set()
    await running
    assert setting.control.committed == []
    assert setting.count("ferroflux_indexer_batches_total", result="lease_lost") == 1
