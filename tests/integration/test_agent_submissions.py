"""A thousand orders under kills, retries and double clicks: real processes, real PostgreSQL, real Kafka, no double."""

import asyncio
import random
import sys
import uuid
from collections import Counter

import pytest
from aiokafka import AIOKafkaConsumer

from agent.conversation.order import OrderStatus
from agent.orders.outbox import Outbox
from agent.orders.publishing import EVENT_ID_HEADER
from agent.orders.store import OrderStore
from agent.storage.database import Database
from schemas.identity import TenantId
from schemas.records.orders import SubmittedOrder
from tests.support.agent.databases import fresh_postgres
from tests.support.agent.submitter import made_order
from tests.support.processes import ManagedProcess

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

ORDERS = 1000
PROCESSES = 3
KILLS = 12


async def test_a_thousand_orders_are_submitted_once_whatever_dies_and_whoever_clicks_twice(
    postgres, kafka, tmp_path
) -> None:
    topic = f"orders.submitted.{uuid.uuid4().hex[:8]}"
    chance = random.Random(7)
    async with fresh_postgres(postgres) as settings:
        database = await Database.open(settings)
        url = settings.libpq_url
        workers = [
            ManagedProcess(
                f"submitter-{seed}",
                [
                    sys.executable,
                    "-m",
                    "tests.support.agent.submitter",
                    url,
                    kafka.bootstrap,
                    topic,
                    str(ORDERS),
                    str(seed),
                ],
                log_dir=tmp_path,
            )
            for seed in range(PROCESSES)
        ]
        for worker in workers:
            worker.start()
        await _kill_while_they_work(workers, database, chance)
        for worker in workers:
            if not worker.running:
                worker.start()
        for worker in workers:
            await asyncio.to_thread(worker.wait_for_line, "published everything", 120)
        records = await _read_all(kafka.bootstrap, topic)
        store = OrderStore(database)
        stored = [await store.get(TenantId("norte"), made_order(number).order_id) for number in range(ORDERS)]
        await database.close()

    assert all(one.status is OrderStatus.SUBMITTED and one.published_us for one in stored)
    assert [one.lines for one in stored] == [made_order(number).lines for number in range(ORDERS)]
    keys = Counter(key for key, _, _ in records)
    events = {event_id for _, event_id, _ in records}
    assert set(keys) == {one.order_id for one in stored}, "every order is in the log, and nothing else"
    assert len(events) == ORDERS, "a consumer that deduplicates by the event id sees each order once"
    by_order = {(event.order_id, event.submitted_at) for _, _, event in records}
    assert len(by_order) == ORDERS, "no order was submitted a second time: every copy is of the one submission"
    copies = len(records) - ORDERS
    print(f"{ORDERS} orders, {KILLS} kills, {copies} records sent again after a kill")


async def _kill_while_they_work(workers: list[ManagedProcess], database: Database, chance: random.Random) -> None:
    """Kill one of them after another, each at some instruction of its work, and start it again."""
    for _ in range(KILLS):
        victim = chance.choice(workers)
        before = (await Outbox(database).backlog()).pending
        await asyncio.sleep(chance.uniform(0.8, 2.5) if before else 2.0)
        await asyncio.to_thread(victim.kill)
        victim.start()


async def _read_all(bootstrap: str, topic: str) -> list[tuple[str, str, SubmittedOrder]]:
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        records = []
        while sum([await consumer.position(one) for one in ends]) < sum(ends.values()):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += [
                    (
                        record.key.decode(),
                        dict(record.headers)[EVENT_ID_HEADER].decode(),
                        SubmittedOrder.model_validate_json(record.value),
                    )
                    for record in batch
                ]
        return records
    finally:
        await consumer.stop()
