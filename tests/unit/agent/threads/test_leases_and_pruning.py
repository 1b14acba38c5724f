"""Threads in time: a lease that was lost stops the turn, an idle thread goes, a finished one keeps its newest step only."""

import asyncio

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from agent.checkpoints.embedded import MemoryCheckpoints
from agent.checkpoints.port import CheckpointsUnavailableError
from agent.conversation.thread_names import ThreadName
from agent.errors import TooManyThreadsError
from agent.settings import CheckpointSettings, DatabaseSettings
from agent.storage.database import Database, DatabaseUnavailableError
from agent.storage.tables import threads
from agent.threads.leases import ThreadBusyError, ThreadLeases
from agent.threads.pruning import ThreadPruner
from agent.threads.registry import ThreadRegistry
from runtime.isolation import DefectError
from schemas.identity import TenantId

pytestmark = pytest.mark.slow

NORTE = TenantId("norte")


@pytest.fixture
async def database(tmp_path):
    with capture_logs():
        opened = await Database.open(DatabaseSettings(directory=tmp_path))
        yield opened
        await opened.close()


async def test_a_turn_whose_lease_another_took_is_stopped(database) -> None:
    leases = ThreadLeases(database, lease_s=0.15)
    with pytest.raises(ThreadBusyError, match="taken it over"):
        async with leases.hold(NORTE, "t1"):
            async with database.write() as connection:
                await connection.execute(update(threads).values(lease_owner="another worker"))
            await asyncio.sleep(5)


class Failing(Database):
    """A database that fails when a lease is renewed, from the second write on."""

    def __init__(self, real: Database, error: Exception) -> None:
        self._real, self._error, self._writes = real, error, 0
        self.insert, self.now_us = real.insert, real.now_us

    def write(self, *, durable: bool = True):
        self._writes += 1
        if self._writes > 1:
            raise self._error
        return self._real.write(durable=durable)


@pytest.mark.parametrize("error", [DatabaseUnavailableError("away"), ZeroDivisionError("a defect")])
async def test_a_turn_whose_lease_cannot_be_renewed_is_stopped_before_the_lease_runs_out(database, error) -> None:
    leases = ThreadLeases(Failing(database, error), lease_s=0.3)
    began = asyncio.get_running_loop().time()
    with capture_logs(), pytest.raises((ThreadBusyError, ZeroDivisionError)):
        async with leases.hold(NORTE, "t1"):
            try:
                await asyncio.sleep(5)
            finally:
                assert asyncio.get_running_loop().time() - began < 1.0


async def test_a_thread_that_stays_taken_is_busy(database) -> None:
    async with ThreadLeases(database).hold(NORTE, "t1"):
        with pytest.raises(ThreadBusyError):
            async with ThreadLeases(database, wait_s=0.1).hold(NORTE, "t1"):
                pytest.fail("two turns at once")


async def test_idle_threads_are_deleted_and_the_others_trimmed_once(database) -> None:
    leases = ThreadLeases(database)
    for name in ("old", "new"):
        async with leases.hold(NORTE, name):
            pass
    async with database.write() as connection:
        await connection.execute(update(threads).where(threads.c.thread == "old").values(last_turn_us=1))
    registry = ThreadRegistry(database, MemoryCheckpoints(), leases)
    pruner = ThreadPruner(registry, CheckpointSettings())
    assert await pruner.prune_once() == (1, 1)
    assert await pruner.prune_once() == (0, 0)
    assert not await registry.exists(ThreadName(NORTE, "old"))
    assert await registry.exists(ThreadName(NORTE, "new"))


class Spiteful(MemoryCheckpoints):
    """Checkpoints at which some threads fail: by a defect, or as though the store were away."""

    def __init__(self, *, broken: set[str] = frozenset(), away: set[str] = frozenset()) -> None:
        super().__init__()
        self.broken, self.away = set(broken), set(away)
        self.tried: list[str] = []

    async def delete(self, keys) -> None:
        await self._meet(keys)
        await super().delete(keys)

    async def trim(self, keys) -> None:
        await self._meet(keys)
        await super().trim(keys)

    async def _meet(self, keys) -> None:
        self.tried += keys
        if self.broken & set(keys):
            raise ValueError("a state that cannot be read")
        if self.away & set(keys):
            raise CheckpointsUnavailableError


class TestOneBadThread:
    async def pruner(self, database, checkpoints, count: int, counted=None) -> tuple[ThreadRegistry, ThreadPruner]:
        leases = ThreadLeases(database)
        for number in range(count):
            async with leases.hold(NORTE, f"t{number:03}"):
                pass
        async with database.write() as connection:
            await connection.execute(update(threads).values(last_turn_us=1))
        registry = ThreadRegistry(database, checkpoints, leases)
        labels = counted if counted is not None else []
        return registry, ThreadPruner(
            registry, CheckpointSettings(), counted=lambda stage, reason: labels.append((stage, reason))
        )

    async def test_is_set_apart_and_left_alone_while_all_others_are_pruned(self, database) -> None:
        counted = []
        spiteful = Spiteful(broken={"norte/t000", "norte/t007"})
        registry, pruner = await self.pruner(database, spiteful, 60, counted)
        with capture_logs():
            assert await pruner.prune_once() == (58, 0)
        assert counted == [("pruning", "unexpected")] * 2
        spiteful.tried.clear()
        assert await pruner.prune_once() == (0, 0)
        assert spiteful.tried == [], "they rest"
        apart = await registry.apart.of_tenant(NORTE, limit=10)
        assert {(one.thread, one.stage, one.reason) for one in apart} == {
            ("t000", "pruning", "unexpected"),
            ("t007", "pruning", "unexpected"),
        }
        assert await registry.apart.count() == 2

    async def test_is_pruned_once_it_is_tried_again_and_its_note_goes_with_it(self, database) -> None:
        spiteful = Spiteful(broken={"norte/t001"})
        registry, pruner = await self.pruner(database, spiteful, 3)
        with capture_logs():
            await pruner.prune_once()
        spiteful.broken.clear()
        assert await pruner.prune_once() == (0, 0)
        assert await registry.apart.forget(ThreadName(NORTE, "t001"))
        assert await pruner.prune_once() == (1, 0)
        assert await registry.apart.count() == 0

    async def test_at_which_the_store_is_away_does_not_come_first_for_ever(self, database) -> None:
        spiteful = Spiteful(away={"norte/t000"})
        _, pruner = await self.pruner(database, spiteful, 4)
        with pytest.raises(CheckpointsUnavailableError):
            await pruner.prune_once()
        assert await pruner.prune_once() == (3, 0)

    async def test_in_which_somebody_is_at_work_is_passed_over(self, database) -> None:
        spiteful = Spiteful()
        _, pruner = await self.pruner(database, spiteful, 3)
        async with ThreadLeases(database).hold(NORTE, "t000"):
            assert await pruner.prune_once() == (2, 0)
        assert await pruner.prune_once() == (1, 0)

    async def test_eleven_at_once_are_a_defect_of_ours(self, database) -> None:
        spiteful = Spiteful(broken={f"norte/t{number:03}" for number in range(20)})
        registry, pruner = await self.pruner(database, spiteful, 20)
        with capture_logs(), pytest.raises(DefectError, match="pruning failed on 11 of 20"):
            await pruner.prune_once()
        assert await registry.apart.count() == 0


async def test_a_shop_with_its_largest_number_of_threads_begins_none_and_goes_on_with_those_it_has(database) -> None:
    leases = ThreadLeases(database, most=2)
    for name in ("t1", "t2", "t1"):
        async with leases.hold(NORTE, name):
            pass
    with pytest.raises(TooManyThreadsError):
        async with leases.hold(NORTE, "t3"):
            pytest.fail("one too many")
    async with leases.hold(TenantId("sur"), "t3"):
        pass
    registry = ThreadRegistry(database, MemoryCheckpoints(), leases)
    assert not await registry.exists(ThreadName(NORTE, "t3"))
