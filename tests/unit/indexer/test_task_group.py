"""Commits side by side: bounded, gathered, and none left running behind an error."""

import asyncio

import pytest

from indexer.batch.task_group import BoundedTaskGroup
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointWrite
from schemas.errors import StoreUnavailableError
from schemas.identity import SkuKey
from tests.support.indexing.fakes import DocumentLog, event, make_pipeline, records_of

KEYS = [SkuKey.of("acme", str(number)) for number in range(5)]


class Work:
    """A commit that takes as many turns of the loop as it is told; notes how many were under way at a time."""

    running = 0
    most = 0
    finished: list[SkuKey]

    def __init__(self) -> None:
        self.finished = []

    def __call__(self, key: SkuKey, turns: int = 3, *, error: Exception | None = None):
        async def commit() -> frozenset[SkuKey]:
            self.running += 1
            self.most = max(self.most, self.running)
            try:
                for _ in range(turns):
                    await asyncio.sleep(0)
                if error is not None:
                    raise error
                self.finished.append(key)
                return frozenset({key})
            finally:
                self.running -= 1

        return commit


async def test_no_more_than_so_many_are_under_way_and_all_refusals_are_gathered() -> None:
    work = Work()
    async with BoundedTaskGroup(2) as commits:
        for key in KEYS:
            await commits.begin(work(key))
    assert work.most == 2
    assert commits.refused == frozenset(KEYS)


async def test_a_failure_is_raised_once_those_beside_it_have_finished_and_nothing_more_begins() -> None:
    work = Work()
    with pytest.raises(StoreUnavailableError):
        async with BoundedTaskGroup(2) as commits:
            await commits.begin(work(KEYS[0], error=StoreUnavailableError("away")))
            await commits.begin(work(KEYS[1], turns=50))
            await commits.begin(work(KEYS[2]))
    assert work.finished == [KEYS[1]]
    assert work.running == 0


async def test_a_failure_of_the_last_one_is_not_lost() -> None:
    with pytest.raises(StoreUnavailableError):
        async with BoundedTaskGroup(3) as commits:
            await commits.begin(Work()(KEYS[0], error=StoreUnavailableError("away")))


async def test_a_failure_between_two_commits_waits_for_those_that_run() -> None:
    work = Work()
    with pytest.raises(RuntimeError):
        async with BoundedTaskGroup(3) as commits:
            await commits.begin(work(KEYS[0], turns=20))
            raise RuntimeError
    assert work.finished == [KEYS[0]]


async def test_a_cancellation_ends_them_all() -> None:
    work = Work()

    async def batch() -> None:
        async with BoundedTaskGroup(2) as commits:
            for key in KEYS:
                await commits.begin(work(key, turns=1_000))

    task = asyncio.create_task(batch())
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.running == 0
    assert work.finished == []


class SlowIndex(MemoryIndex):
    """Writes take a while; notes which keys were under way together, and fails the write of one key once."""

    def __init__(self, fails_for: str = "") -> None:
        super().__init__()
        self.under_way: list[frozenset[SkuKey]] = []
        self.together = 0
        self._fails_for = fails_for

    async def write(self, writes: list[PointWrite]) -> frozenset[SkuKey]:  # type: ignore[override] # a list is given
        keys = frozenset(write.key for write in writes)
        for others in self.under_way:
            assert not keys & others, "one product in two slices at a time"
        self.under_way.append(keys)
        self.together = max(self.together, len(self.under_way))
        for _ in range(20):
            await asyncio.sleep(0)
        self.under_way.remove(keys)
        if any(key.sku == self._fails_for for key in keys):
            self._fails_for = ""
            raise StoreUnavailableError("away")
        return await super().write(writes)


def deletions(count: int, version: int = 2):
    return records_of([event(f"S{number}", "item", version, None) for number in range(count)])


async def test_a_large_batch_goes_through_in_slices_of_distinct_products_side_by_side() -> None:
    index, log = SlowIndex(), DocumentLog()
    report = await make_pipeline(index, publisher=log).process(deletions(30))
    assert index.together == 2
    assert len(log.compacted()) == 30
    assert (report.applied, report.deleted) == (30, 30)


async def test_a_slice_that_fails_fails_the_batch_and_the_batch_again_completes_it() -> None:
    index, log = SlowIndex(fails_for="S3"), DocumentLog()
    pipeline = make_pipeline(index, publisher=log)
    with pytest.raises(StoreUnavailableError):
        await pipeline.process(deletions(30))
    assert not index.under_way
    report = await pipeline.process(deletions(30))
    assert len(log.compacted()) == 30
    assert report.applied + report.duplicates == 30
