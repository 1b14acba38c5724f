"""What every database must give the orders and their outbox."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest

from agent.conversation.order import OrderStatus
from agent.errors import EmptyOrderError, OrderClosedError, OrderNotFoundError, OrderUnpublishableError
from agent.orders.outbox import Outbox
from agent.orders.store import OrderStore
from agent.settings import DatabaseSettings
from agent.storage.database import Database
from runtime.isolation import Reason
from schemas.identity import TenantId
from schemas.records.orders import SubmittedOrder
from tests.support.agent.orders import line, order

NORTE, SUR = TenantId("norte"), TenantId("sur")


class Clock:
    def __init__(self) -> None:
        self.us = 1_800_000_000_000_000

    def now_us(self) -> int:
        self.us += 1
        return self.us

    def pass_seconds(self, seconds: float) -> None:
        self.us += int(seconds * 1_000_000)


class OrderStoreContract:
    @pytest.fixture
    async def settings(self) -> AsyncIterator[DatabaseSettings]:
        raise AssertionError("each database gives its own")

    @pytest.fixture
    async def database(self, settings) -> AsyncIterator[Database]:
        database = await Database.open(settings)
        yield database
        await database.close()

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def store(self, database, clock) -> OrderStore:
        return OrderStore(database, clock=clock)

    @pytest.fixture
    def outbox(self, database, clock) -> Outbox:
        return Outbox(database, clock=clock)

    async def test_numbers_come_back_exactly_as_they_went_in(self, store) -> None:
        lines = (
            line("A", "0.125", "1234567890.123456", pack="rollo de 100 m", unit="m", stock=Decimal("0.5")),
            line("B", "100", None, position=2, stock=None),
            line("C", "3", "0.10", position=3, price_shown=Decimal("0.30")),
        )
        await store.submit(order("order-0001", *lines))
        assert (await store.get(NORTE, "order-0001")).lines == lines

    async def test_an_order_that_is_offered_again_is_what_was_offered_last(self, store) -> None:
        await store.offer(order("order-0001", line("A"), line("B")))
        await store.offer(order("order-0001", line("B", "7")))
        found = await store.get(NORTE, "order-0001")
        assert found.status is OrderStatus.OFFERED
        assert [(one.sku, one.quantity) for one in found.lines] == [("B", 7)]

    async def test_what_is_only_offered_is_not_in_the_outbox(self, store, outbox) -> None:
        await store.offer(order())
        assert (await outbox.backlog()).pending == 0

    async def test_a_submission_is_in_the_outbox_with_all_that_a_consumer_needs(self, store, outbox) -> None:
        await store.submit(order("order-0001", line("A", "3", "0.335"), line("B", "1", None), customer="c-7"))
        (row,) = await outbox.claim("relay", limit=10, lease_s=60)
        event = SubmittedOrder.model_validate_json(row.payload)
        assert event.event_id == "norte/order-0001"
        assert (event.customer, event.currency, event.unpriced) == ("c-7", "MXN", 1)
        assert event.total == Decimal("1.01")
        assert [(one.position, one.sku, one.amount) for one in event.lines] == [
            (1, "A", Decimal("1.01")),
            (2, "B", None),
        ]

    async def test_only_the_first_of_many_submissions_at_once_is_the_first(self, store, outbox) -> None:
        done = await asyncio.gather(*(store.submit(order()) for _ in range(20)))
        assert sum(one.first for one in done) == 1
        assert len({one.order.submitted_us for one in done}) == 1
        assert (await outbox.backlog()).pending == 1

    async def test_a_repeated_submission_keeps_the_first_prices(self, store) -> None:
        await store.submit(order("order-0001", line("A", "2", "10")))
        again = await store.submit(order("order-0001", line("A", "2", "11")))
        assert (again.first, again.order.total) == (False, Decimal("20.00"))

    async def test_a_submitted_order_takes_no_other_lines(self, store) -> None:
        await store.submit(order("order-0001", line("A", "2")))
        with pytest.raises(OrderClosedError):
            await store.submit(order("order-0001", line("A", "3")))
        assert (await store.offer(order("order-0001", line("A", "3")))).status is OrderStatus.SUBMITTED
        assert (await store.get(NORTE, "order-0001")).lines == (line("A", "2"),)

    async def test_a_withdrawn_order_is_not_submitted(self, store, outbox) -> None:
        await store.offer(order())
        await store.withdraw(NORTE, "order-0001")
        with pytest.raises(OrderClosedError):
            await store.submit(order())
        assert (await outbox.backlog()).pending == 0

    async def test_a_submitted_order_is_not_withdrawn(self, store) -> None:
        await store.submit(order())
        await store.withdraw(NORTE, "order-0001")
        assert (await store.get(NORTE, "order-0001")).status is OrderStatus.SUBMITTED

    async def test_an_order_without_lines_is_refused(self, store) -> None:
        empty = replace(order(), lines=())
        for call in (store.offer, store.submit):
            with pytest.raises(EmptyOrderError):
                await call(empty)

    async def test_an_order_belongs_to_its_conversation(self, store) -> None:
        await store.offer(order(thread="thread-1"))
        with pytest.raises(OrderClosedError):
            await store.submit(order(thread="thread-2"))

    async def test_one_tenants_id_says_nothing_about_anothers(self, store, outbox) -> None:
        await store.submit(order("order-0001", line("A"), tenant="norte"))
        with pytest.raises(OrderNotFoundError):
            await store.get(SUR, "order-0001")
        assert (await store.page(SUR)).orders == ()
        await store.withdraw(SUR, "order-0001")
        assert (await store.submit(order("order-0001", line("B"), tenant="sur"))).first
        assert (await store.get(NORTE, "order-0001")).lines == (line("A"),)
        assert (await store.get(SUR, "order-0001")).lines == (line("B"),)
        assert (await outbox.backlog()).pending == 2

    async def test_pages_go_from_the_newest_to_the_oldest_without_gap_or_repetition(self, store) -> None:
        for number in range(7):
            await store.submit(order(f"order-{number:04}"))
        seen, cursor = [], ""
        while True:
            page = await store.page(NORTE, after=cursor, limit=3)
            seen += [one.order_id for one in page.orders]
            cursor = page.cursor
            if not cursor:
                break
        assert seen == [f"order-{number:04}" for number in reversed(range(7))]
        with pytest.raises(OrderNotFoundError):
            await store.page(SUR, after="order-0003")

    async def test_a_page_keeps_to_thread_customer_and_status(self, store) -> None:
        await store.submit(order("order-0001", thread="t-1", customer="c-1"))
        await store.offer(order("order-0002", thread="t-2", customer="c-1"))
        await store.offer(order("order-0003", thread="t-2", customer="c-2"))

        async def ids(**wanted) -> list[str]:
            return [one.order_id for one in (await store.page(NORTE, **wanted)).orders]

        assert await ids(thread="t-2") == ["order-0003", "order-0002"]
        assert await ids(customer="c-1") == ["order-0002", "order-0001"]
        assert await ids(status=OrderStatus.SUBMITTED) == ["order-0001"]
        assert await ids(thread="t-2", customer="c-1") == ["order-0002"]

    async def test_two_relays_never_hold_the_same_row(self, store, outbox) -> None:
        for number in range(40):
            await store.submit(order(f"order-{number:04}"))
        held = await asyncio.gather(*(outbox.claim(f"relay-{n}", limit=10, lease_s=60) for n in range(8)))
        ids = [row.order_id for rows in held for row in rows]
        assert len(ids) == len(set(ids)) == 40

    async def test_a_dead_relays_rows_are_free_when_its_lease_ends_and_not_before(self, store, outbox, clock) -> None:
        await store.submit(order())
        assert len(await outbox.claim("dies", limit=10, lease_s=60)) == 1
        clock.pass_seconds(59)
        assert await outbox.claim("next", limit=10, lease_s=60) == []
        clock.pass_seconds(2)
        (row,) = await outbox.claim("next", limit=10, lease_s=60)
        assert row.attempts == 2

    async def test_what_is_published_is_never_claimed_again(self, store, outbox, clock) -> None:
        await store.submit(order())
        rows = await outbox.claim("relay", limit=10, lease_s=60)
        assert await outbox.mark_published("relay", rows) == 1
        clock.pass_seconds(3600)
        assert await outbox.claim("relay", limit=10, lease_s=60) == []
        assert (await store.get(NORTE, "order-0001")).published_us is not None

    async def test_released_rows_can_be_claimed_at_once(self, store, outbox) -> None:
        await store.submit(order())
        rows = await outbox.claim("relay", limit=10, lease_s=60)
        await outbox.release("relay", rows)
        assert len(await outbox.claim("other", limit=10, lease_s=60)) == 1

    async def test_the_oldest_orders_are_claimed_first(self, store, outbox) -> None:
        for number in range(5):
            await store.submit(order(f"order-{number:04}"))
        rows = await outbox.claim("relay", limit=2, lease_s=60)
        assert [row.order_id for row in rows] == ["order-0000", "order-0001"]
        backlog = await outbox.backlog()
        assert (backlog.pending, backlog.oldest_us) == (5, rows[0].created_us)

    async def test_what_is_set_apart_is_never_claimed_until_it_is_tried_again(self, store, outbox, clock) -> None:
        for number in range(3):
            await store.submit(order(f"order-{number:04}"))
        rows = await outbox.claim("relay", limit=10, lease_s=60)
        assert await outbox.set_apart("relay", rows[1], Reason("record_too_large", "too\x00 large"))
        await outbox.mark_published("relay", [rows[0], rows[2]])
        clock.pass_seconds(3600)
        assert await outbox.claim("next", limit=10, lease_s=60) == []
        backlog = await outbox.backlog()
        assert (backlog.pending, backlog.set_apart) == (0, 1)
        (found,) = (await store.page(NORTE, set_apart=True)).orders
        assert (found.order_id, found.apart.reason, found.apart.detail) == (
            "order-0001",
            "record_too_large",
            "too  large",
        )
        assert (await store.page(SUR, set_apart=True)).orders == ()
        assert (await store.retry(NORTE, "order-0001")).apart is None
        (row,) = await outbox.claim("next", limit=10, lease_s=60)
        assert (row.order_id, row.attempts) == ("order-0001", 1)
        assert (await store.page(NORTE, set_apart=True)).orders == ()

    async def test_only_who_holds_a_row_sets_it_apart_and_never_a_published_one(self, store, outbox) -> None:
        await store.submit(order())
        (row,) = await outbox.claim("relay", limit=10, lease_s=60)
        assert not await outbox.set_apart("another", row, Reason("x", "y"))
        await outbox.mark_published("relay", [row])
        assert not await outbox.set_apart("relay", row, Reason("x", "y"))
        assert (await store.get(NORTE, "order-0001")).apart is None

    async def test_trying_an_order_again_that_is_not_set_apart_changes_nothing(self, store, outbox) -> None:
        await store.submit(order())
        await outbox.mark_published("relay", await outbox.claim("relay", limit=10, lease_s=60))
        await store.retry(NORTE, "order-0001")
        assert (await outbox.backlog()).pending == 0
        with pytest.raises(OrderNotFoundError):
            await store.retry(SUR, "order-0001")

    async def test_an_order_of_which_no_record_can_be_made_is_not_submitted(self, store, outbox) -> None:
        await store.offer(order("order-0001", line("A", "0")))
        with pytest.raises(OrderUnpublishableError):
            await store.submit(order("order-0001", line("A", "0")))
        assert (await store.get(NORTE, "order-0001")).status is OrderStatus.OFFERED
        assert (await outbox.backlog()).pending == 0
