"""The relay: what is submitted reaches the log, a log that fails gets it later, and two relays share without doubling."""

import asyncio

import pytest
from structlog.testing import capture_logs

from agent.orders.outbox import Outbox
from agent.orders.relay import OutboxRelay
from agent.orders.settings import OrderSettings
from agent.orders.store import OrderStore
from agent.storage.database import Database
from agent.storage.settings import DatabaseSettings
from runtime.backoff import BackoffPolicy
from runtime.supervision import Supervisor
from schemas.errors import LogUnavailableError
from tests.support.agent.orders import MemoryLog, order

SETTINGS = OrderSettings(poll_s=0.05, batch=2)


@pytest.fixture
async def database(tmp_path):
    with capture_logs():
        opened = await Database.open(DatabaseSettings(directory=tmp_path))
        yield opened
        await opened.close()


async def submitted(database: Database, count: int) -> list[str]:
    store, names = OrderStore(database), [f"order-{number:04}" for number in range(count)]
    for name in names:
        await store.offer(order(name))
        await store.submit(order(name))
    return names


async def test_a_submitted_order_is_published_once(database) -> None:
    (name,) = await submitted(database, 1)
    log = MemoryLog()
    relay = OutboxRelay(Outbox(database), log, SETTINGS)
    assert await relay.publish_once() == 1
    assert await relay.publish_once() == 0
    assert [row.order_id for row in log.records] == [name]


async def test_what_the_log_refused_is_free_again_at_once(database) -> None:
    await submitted(database, 1)
    log = MemoryLog(failures=1)
    relay = OutboxRelay(Outbox(database), log, SETTINGS)
    with pytest.raises(LogUnavailableError):
        await relay.publish_once()
    assert (await Outbox(database).backlog()).pending == 1
    assert await relay.publish_once() == 1
    assert log.records[0].attempts == 2


async def test_two_relays_share_the_orders_without_doubling(database) -> None:
    names = await submitted(database, 4)
    log = MemoryLog()
    relays = [OutboxRelay(Outbox(database), log, SETTINGS) for _ in range(2)]
    assert await asyncio.gather(*(relay.publish_once() for relay in relays)) == [2, 2]
    assert sorted(row.order_id for row in log.records) == names


async def test_a_supervised_relay_goes_on_after_a_failure(database) -> None:
    names = await submitted(database, 3)
    full = asyncio.Event()

    class TellingLog(MemoryLog):
        async def publish(self, rows) -> None:
            await super().publish(rows)
            if len(self.records) == len(names):
                full.set()

    log = TellingLog(failures=1)
    relay = OutboxRelay(Outbox(database), log, SETTINGS)
    supervisor = Supervisor()
    with capture_logs():
        supervisor.start("order-relay", relay.run, backoff=BackoffPolicy(0.001, 0.001))
        await asyncio.wait_for(full.wait(), 5)
    await supervisor.stop()
    assert [row.order_id for row in log.records] == names
