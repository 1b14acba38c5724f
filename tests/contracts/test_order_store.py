"""The contract of orders and outbox on SQLite, and on a real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from agent.checkpoints.embedded import MemoryCheckpoints
from agent.orders.outbox import Outbox
from agent.orders.store import OrderStore
from agent.settings import DatabaseSettings
from agent.threads.leases import ThreadBusyError, ThreadLeases
from agent.threads.registry import ThreadRegistry
from tests.contracts.order_store_suite import NORTE, OrderStoreContract, line, order
from tests.support.agent.databases import fresh_postgres


class TestSqlite(OrderStoreContract):
    @pytest.fixture
    def settings(self, tmp_path) -> DatabaseSettings:
        return DatabaseSettings(directory=tmp_path / "agent")


@pytest.mark.integration
class TestPostgres(OrderStoreContract):
    @pytest.fixture
    async def settings(self, postgres) -> AsyncIterator[DatabaseSettings]:
        async with fresh_postgres(postgres) as settings:
            yield settings

    async def test_a_worker_whose_clock_is_an_hour_fast_takes_nothing_that_is_held(self, database, monkeypatch) -> None:
        await OrderStore(database).submit(order("order-0001", line("A")))
        ours, theirs = ThreadLeases(database, lease_s=30), ThreadLeases(database, lease_s=30, wait_s=0.3)
        registry = ThreadRegistry(database, MemoryCheckpoints(), ours)
        async with ours.hold(NORTE, "t1"):
            assert len(await Outbox(database).claim("ours", limit=10, lease_s=30)) == 1
            fast = time.time_ns() + 3_600 * 10**9
            monkeypatch.setattr(time, "time_ns", lambda: fast)
            assert await Outbox(database).claim("theirs", limit=10, lease_s=30) == []
            with pytest.raises(ThreadBusyError):
                async with theirs.hold(NORTE, "t1"):
                    pass
            assert await registry.idle_since(fast, limit=10) == []
        async with theirs.hold(NORTE, "t1"):
            pass

    async def test_a_lease_of_a_worker_whose_clock_is_an_hour_fast_runs_out_in_time(
        self, database, monkeypatch
    ) -> None:
        await OrderStore(database).submit(order("order-0001", line("A")))
        right = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: right() + 3_600 * 10**9)
        assert len(await Outbox(database).claim("fast", limit=10, lease_s=0.2)) == 1
        monkeypatch.setattr(time, "time_ns", right)
        await asyncio.sleep(0.4)
        assert len(await Outbox(database).claim("right", limit=10, lease_s=30)) == 1
