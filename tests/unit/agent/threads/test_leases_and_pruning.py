"""Threads in time: a lease that was lost stops the turn, an idle thread goes, a finished one keeps its newest step only."""

import asyncio

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from agent.checkpoints.memory import MemoryCheckpoints
from agent.checkpoints.settings import CheckpointSettings
from agent.storage.database import Database, DatabaseUnavailableError
from agent.storage.settings import DatabaseSettings
from agent.storage.tables import threads
from agent.threads.guard import ThreadBusyError, ThreadLeases
from agent.threads.pruning import ThreadPruner
from agent.threads.registry import ThreadName, ThreadRegistry
from schemas.identity import TenantId

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
        self.insert = real.insert

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
