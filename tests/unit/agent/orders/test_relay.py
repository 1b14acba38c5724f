"""The relay: what is submitted reaches the log, a log that fails gets it later, two relays share without doubling, and one
order that can never be published stops no other."""

import asyncio

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from agent.conversation.limits import OrderSizeLimit
from agent.orders.event import submitted_event
from agent.orders.outbox import Outbox
from agent.orders.relay import OutboxRelay
from agent.orders.store import OrderStore
from agent.settings import DatabaseSettings, OrderSettings
from agent.storage.database import Database
from agent.storage.tables import outbox as outbox_table
from runtime.isolation import UNEXPECTED, DefectError
from runtime.retry import BackoffPolicy
from runtime.supervision import Supervisor
from schemas.errors import LogUnavailableError
from schemas.identity import TenantId
from schemas.records.orders import SubmittedOrder
from tests.support.agent.orders import MemoryLog, line, order

pytestmark = pytest.mark.slow

SETTINGS = OrderSettings(poll_s=0.05, batch=2)
NORTE = TenantId("norte")


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


async def spoil(database: Database, names: list[str], payload: str) -> None:
    async with database.write() as connection:
        await connection.execute(update(outbox_table).where(outbox_table.c.order_id.in_(names)).values(payload=payload))


class TestOneBadOrder:
    @pytest.mark.parametrize(
        "payload",
        ["", "not json", "[]", '{"event_id": "norte/order-0007"}', "\udcff".encode("utf-8", "replace").decode()],
    )
    async def test_among_twenty_is_set_apart_and_the_others_go_in_order(self, database, payload: str) -> None:
        names = await submitted(database, 20)
        await spoil(database, ["order-0007"], payload)
        log, counted = MemoryLog(), []
        relay = OutboxRelay(
            Outbox(database), log, OrderSettings(batch=100), counted=lambda *labels: counted.append(labels)
        )
        await relay.publish_once()
        assert [row.order_id for row in log.records] == [name for name in names if name != "order-0007"]
        backlog = await Outbox(database).backlog()
        assert (backlog.pending, backlog.oldest_us, backlog.set_apart) == (0, None, 1)
        apart = (await OrderStore(database).get(NORTE, "order-0007")).apart
        assert apart is not None
        assert apart.reason == UNEXPECTED
        assert "Producto" not in apart.detail
        assert counted == [("order relay", UNEXPECTED)]
        assert await relay.publish_once() == 0, "it is not tried for ever"

    async def test_is_published_once_it_is_tried_again_its_record_made_anew(self, database) -> None:
        await submitted(database, 3)
        await spoil(database, ["order-0001"], "not json")
        log = MemoryLog()
        relay = OutboxRelay(Outbox(database), log, OrderSettings(batch=100))
        await relay.publish_once()
        assert (await OrderStore(database).retry(NORTE, "order-0001")).apart is None
        await relay.publish_once()
        assert [row.order_id for row in log.records] == ["order-0000", "order-0002", "order-0001"]
        assert SubmittedOrder.model_validate_json(log.records[-1].payload).order_id == "order-0001"

    async def test_that_the_log_refuses_is_set_apart_with_the_logs_reason(self, database) -> None:
        await submitted(database, 4)
        log = MemoryLog(refuses=["order-0002"])
        relay = OutboxRelay(Outbox(database), log, OrderSettings(batch=100))
        await relay.publish_once()
        apart = (await OrderStore(database).get(NORTE, "order-0002")).apart
        assert apart is not None
        assert apart.reason == "record_refused"
        assert len(log.records) == 3

    async def test_of_another_orders_name_is_not_published_under_it(self, database) -> None:
        await submitted(database, 2)
        async with database.read() as connection:
            first = (await connection.execute(outbox_table.select().order_by(outbox_table.c.order_id))).first()
        assert first is not None
        await spoil(database, ["order-0001"], first.payload)
        log = MemoryLog()
        await OutboxRelay(Outbox(database), log, OrderSettings(batch=100)).publish_once()
        assert [row.order_id for row in log.records] == ["order-0000"]

    async def test_eleven_of_twenty_are_a_defect_of_ours_and_nothing_is_set_apart_for_it(self, database) -> None:
        names = await submitted(database, 20)
        await spoil(database, names[:11], "not json")
        log = MemoryLog()
        relay = OutboxRelay(Outbox(database), log, OrderSettings(batch=100))
        with pytest.raises(DefectError, match="order relay failed on 11 of 20"):
            await relay.publish_once()
        backlog = await Outbox(database).backlog()
        assert (backlog.pending, backlog.set_apart, log.records) == (20, 0, [])


async def test_an_order_that_an_older_release_took_is_published_with_shorter_titles(database) -> None:
    store = OrderStore(database)
    big = order("order-0001", *(line(f"SKU-{number}", title="x" * 20) for number in range(200)))
    await store.submit(big)
    wide = submitted_event(await store.get(NORTE, "order-0001"))
    lines = tuple(one.model_copy(update={"title": "ñ" * 4_000}) for one in wide.lines)
    await spoil(database, ["order-0001"], wide.model_copy(update={"lines": lines}).model_dump_json())
    room, log = OrderSizeLimit(900_000), MemoryLog()
    room.follow(1_048_588)
    await OutboxRelay(Outbox(database), log, SETTINGS, size_limit=room).publish_once()
    (row,) = log.records
    event = SubmittedOrder.model_validate_json(row.payload)
    assert len(row.payload) < 1_048_588
    assert [one.sku for one in event.lines] == [one.sku for one in wide.lines]
    assert (event.total, event.lines[0].title[-1]) == (wide.total, "…")


async def test_one_that_is_too_large_without_its_titles_is_set_apart_with_the_remedy(database) -> None:
    await OrderStore(database).submit(order("order-0001", *(line(f"SKU-{number}") for number in range(100))))
    room = OrderSizeLimit(900_000)
    room.follow(5_000)
    await OutboxRelay(Outbox(database), MemoryLog(), SETTINGS, size_limit=room).publish_once()
    apart = (await OrderStore(database).get(NORTE, "order-0001")).apart
    assert apart is not None
    assert apart.reason == "record_too_large"
    assert "max.message.bytes" in apart.detail
