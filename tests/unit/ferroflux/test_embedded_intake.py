"""Changes are answered when they are safe, and held back within the broker's room."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ferroflux.embedded.intake.intake import ChangeIntake, OutboundChange, PartitionBudget, within_bytes
from ferroflux.embedded.intake.progress import LogProgress, RecordStage, WatchedJournal, WatchedWriter
from indexer.records import InboundRecord, LogId
from retrieval.text.memory import MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Checkpoint
from schemas.errors import NotReadyError, StoreUnavailableError
from schemas.topics import TopicNames

TOPIC = "warehouse.changes"


class FakeProducer:
    """Gives every record the next offset of its partition."""

    def __init__(self) -> None:
        self.records: list[tuple[int, bytes, bytes]] = []
        self._ends: dict[int, int] = {}

    async def append_to(self, topic, partition, records):
        for record in records:
            self._ends[partition] = self._ends.get(partition, 0) + 1
            self.records.append((partition, record.key, record.value))
        return self._ends[partition]

    @property
    def ends(self) -> dict[tuple[str, int], int]:
        return {(TOPIC, partition): end for partition, end in self._ends.items()}


async def nothing() -> None:
    return None


def changes(count: int, size: int = 10) -> list[OutboundChange]:
    return [OutboundChange(f"t/S{n}".encode(), b"v" * size) for n in range(count)]


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_answer_comes_when_every_record_is_journalled() -> None:
    progress, producer = LogProgress(), FakeProducer()
    intake = ChangeIntake(producer, TopicNames(changes=(TOPIC,)), progress, nothing)
    taking = asyncio.create_task(intake.take(changes(20)))
    await settle()
    assert len(producer.records) == 20
    assert not taking.done()
    progress.advance(RecordStage.JOURNALLED, {place: end - 1 for place, end in producer.ends.items()})
    await settle()
    assert not taking.done()
    progress.advance(RecordStage.JOURNALLED, producer.ends)
    await taking


async def test_waiting_until_indexed_goes_on_to_the_indexes_and_the_replica() -> None:
    progress, producer, asked = LogProgress(), FakeProducer(), asyncio.Event()

    async def until_searchable() -> None:
        asked.set()

    intake = ChangeIntake(producer, TopicNames(changes=(TOPIC,)), progress, until_searchable)
    taking = asyncio.create_task(intake.take(changes(3), until_indexed=True))
    await settle()
    progress.advance(RecordStage.JOURNALLED, producer.ends)
    await settle()
    assert not taking.done()
    progress.advance(RecordStage.APPLIED, producer.ends)
    await taking
    assert asked.is_set()


async def test_a_producer_that_is_faster_than_the_journal_waits_below_the_partitions_room() -> None:
    progress, producer = LogProgress(), FakeProducer()
    intake = ChangeIntake(producer, TopicNames(changes=(TOPIC,)), progress, nothing)
    flood = [OutboundChange(b"t/one", b"v" * 300_000) for _ in range(60)]
    taking = [asyncio.create_task(intake.take([change])) for change in flood]
    sent = 0
    while sent < len(flood):
        await settle()
        assert sum(len(value) for _, _, value in producer.records[sent:]) <= 2 * 1024 * 1024
        sent = len(producer.records)
        progress.advance(RecordStage.JOURNALLED, producer.ends)
    await asyncio.gather(*taking)


async def test_one_sku_has_one_partition_whoever_sends_it() -> None:
    progress, producer = LogProgress(), FakeProducer()
    progress.advance(RecordStage.JOURNALLED, {(TOPIC, partition): 10**9 for partition in range(4)})
    intake = ChangeIntake(producer, TopicNames(changes=(TOPIC,)), progress, nothing)
    await intake.take([*changes(40), *changes(40)])
    by_key: dict[bytes, set[int]] = {}
    for partition, key, _ in producer.records:
        by_key.setdefault(key, set()).add(partition)
    assert all(len(partitions) == 1 for partitions in by_key.values())
    assert len(set.union(*by_key.values())) == 4


async def test_when_the_indexer_ends_everybody_who_waits_hears_why() -> None:
    progress = LogProgress()
    intake = ChangeIntake(FakeProducer(), TopicNames(changes=(TOPIC,)), progress, nothing)
    taking = asyncio.create_task(intake.take(changes(3)))
    await settle()
    progress.fail(StoreUnavailableError("the disk is full"))
    with pytest.raises(StoreUnavailableError, match="disk is full"):
        await taking
    with pytest.raises(StoreUnavailableError):
        await intake.take(changes(1))


async def test_a_stopping_intake_lets_what_it_took_finish_and_takes_no_more() -> None:
    progress, producer = LogProgress(), FakeProducer()
    intake = ChangeIntake(producer, TopicNames(changes=(TOPIC,)), progress, nothing)
    taking = asyncio.create_task(intake.take(changes(3)))
    await settle()
    closing = asyncio.create_task(intake.close())
    await settle()
    assert not closing.done()
    with pytest.raises(NotReadyError, match="stopping"):
        await intake.take(changes(1))
    progress.advance(RecordStage.JOURNALLED, producer.ends)
    await asyncio.gather(taking, closing)


async def test_progress_wakes_a_waiter_on_another_threads_loop() -> None:
    progress = LogProgress()
    waiting = asyncio.create_task(progress.reached(RecordStage.APPLIED, {(TOPIC, 0): 5}))
    await settle()
    thread = threading.Thread(target=progress.advance, args=(RecordStage.APPLIED, {(TOPIC, 0): 5}))
    thread.start()
    await asyncio.wait_for(waiting, 5)
    thread.join()


async def test_progress_never_goes_back() -> None:
    progress = LogProgress()
    progress.advance(RecordStage.JOURNALLED, {(TOPIC, 0): 7})
    progress.advance(RecordStage.JOURNALLED, {(TOPIC, 0): 3})
    assert progress.position(RecordStage.JOURNALLED, (TOPIC, 0)) == 7


async def test_the_watched_journal_tells_only_what_the_journal_has_kept() -> None:
    class FailingJournal:
        async def append(self, log_id, records):
            raise StoreUnavailableError

        async def mark_applied(self, log_id, next_offsets):
            return None

    progress = LogProgress()
    journal = WatchedJournal(FailingJournal(), progress)
    with pytest.raises(StoreUnavailableError):
        await journal.append(LogId("x"), [InboundRecord(TOPIC, 0, 4, 0, b"k", b"v")])
    assert progress.position(RecordStage.JOURNALLED, (TOPIC, 0)) == 0
    await journal.mark_applied(LogId("x"), {(TOPIC, 0): 5})
    assert progress.position(RecordStage.APPLIED, (TOPIC, 0)) == 5


async def test_a_record_larger_than_the_whole_budget_goes_alone() -> None:
    budget = PartitionBudget(limit=100)
    await budget.acquire(0, 500)
    second = asyncio.create_task(budget.acquire(0, 1))
    await settle()
    assert not second.done()
    await budget.release(0, 500)
    await second
    assert budget.used(0) == 1


def test_groups_hold_their_bytes_and_their_order() -> None:
    flood = changes(50, size=100)
    groups = list(within_bytes(flood, 1000))
    assert [change for group in groups for change in group] == flood
    assert all(sum(change.size for change in group) <= 1000 for group in groups)


def test_offsets_of_the_former_log_are_no_word_of_what_the_new_one_holds() -> None:
    progress, writer = LogProgress(), MemoryTextWriter(MemoryTextStore())
    writer.apply([], Checkpoint("former", {0: 7}))
    watched = WatchedWriter(writer, "documents", progress, former_log="former")
    watched.apply([], Checkpoint("former", {0: 7}))  # letters of the former run are settled
    assert progress.position(RecordStage.READABLE, ("documents", 0)) == 0
    watched.apply([], Checkpoint("new", {0: 1}))
    assert progress.position(RecordStage.READABLE, ("documents", 0)) == 1
