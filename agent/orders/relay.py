"""From a submission to the log: the port `OrderSink` over the store, and the relay. It empties the outbox into the log, for ever, and may be killed at any instruction.

One order that cannot be published stands in no other's way: it is set apart in the outbox with its reason, where
`ferroflux orders list --set-apart` shows it and `ferroflux orders retry` has it tried again.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from agent.conversation.limits import LARGEST_ORDER_BYTES, OrderSizeLimit
from agent.conversation.order import Order
from agent.orders.event import event_id, fitting
from agent.orders.outbox import Outbox, OutboxRow
from agent.orders.publishing import OrderPublisher, OrdersRefusedError
from agent.orders.store import OrderStore
from agent.ports import OrderReceipt
from agent.settings import OrderSettings
from runtime.clock import SYSTEM_CLOCK
from runtime.isolation import Batch, Isolation
from runtime.retry import BackoffPolicy
from schemas.identity import TenantId

log = structlog.get_logger(__name__)

STAGE: Final = "order relay"

RELAY_BACKOFF: Final = BackoffPolicy(base_s=0.2, cap_s=15.0)
"""How a relay that ended by an error is started again."""


class OutboxRelay:
    """One relay; several may run over one database, in one process or in many. `run` is its whole life, for a supervisor."""

    def __init__(
        self,
        outbox: Outbox,
        publisher: OrderPublisher,
        settings: OrderSettings,
        *,
        size_limit: OrderSizeLimit | None = None,
        counted: Callable[[str, str], None] = lambda _stage, _reason: None,
    ) -> None:
        """`size_limit` says what the topic takes; `counted` is told the stage and the reason of each order that is set apart."""
        self._size_limit = size_limit or OrderSizeLimit(LARGEST_ORDER_BYTES)
        self._counted = counted
        self._isolation = Isolation(STAGE)
        self._outbox = outbox
        self._publisher = publisher
        self._settings = settings
        self._owner = uuid.uuid4().hex
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Empty the outbox until cancelled; a batch that is under way then is finished by whoever claims it next.

        Raises:
            LogUnavailableError, DatabaseUnavailableError: as `publish_once`. Whatever ended it, the orders are still in the
                outbox and somebody waits for them: it is to be started again.
            DefectError: as `publish_once`; it is to be started again after the fix.
        """
        while True:
            self._woken.clear()
            if await self.publish_once() < self._settings.batch:
                await self._rest()

    def wake(self) -> None:
        """Look at once: an order was just submitted here."""
        self._woken.set()

    async def publish_once(self) -> int:
        """Claim one batch, publish it, mark it; returns how many orders the log got or will never take.

        Raises:
            LogUnavailableError: the log did not confirm; the batch is free again, or its lease runs out.
            DatabaseUnavailableError: the outbox could not be read or marked.
            DefectError: too many orders failed by a defect of ours; the batch is free again, and nothing is set apart.
        """
        rows = await self._outbox.claim(self._owner, limit=self._settings.batch, lease_s=self._settings.lease_s)
        if not rows:
            return 0
        batch: Batch[OutboxRow] = self._isolation.batch(len(rows))
        try:
            published = await self._publish(rows, batch)
        except Exception:
            await self._outbox.release(self._owner, rows)
            raise
        await self._outbox.mark_published(self._owner, published)
        for apart in batch.set_apart:
            if await self._outbox.set_apart(self._owner, apart.thing, apart.reason):
                self._counted(STAGE, apart.reason.code)
        waited_ms = (SYSTEM_CLOCK.now_us() - rows[0].created_us) / 1000
        retried = sum(row.attempts > 1 for row in rows)
        log.info(
            "orders published",
            orders=len(published),
            set_apart=len(batch.set_apart),
            retried=retried,
            oldest_ms=round(waited_ms, 1),
        )
        return len(rows)

    async def _publish(self, rows: Sequence[OutboxRow], batch: Batch[OutboxRow]) -> list[OutboxRow]:
        """Publish what can be; the rest is noted in the batch. Returns what the log has."""
        records: list[OutboxRow] = []
        for row in rows:
            name = event_id(row.tenant, row.order_id)
            with batch.one(row, name=name):
                records.append(replace(row, payload=fitting(row.payload, name, self._size_limit.carried)))
        if not records:
            return []
        try:
            await self._publisher.publish(records)
        except OrdersRefusedError as error:
            for row, refusal in error.refusals.items():
                batch.note(row, refusal, name=event_id(row.tenant, row.order_id))
            return [row for row in records if row not in error.refusals]
        return records

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._settings.poll_s):
                await self._woken.wait()
        except TimeoutError:
            return


class OrderService:
    """What the graph's tools talk to. `submitted` is called for each first submission, after it is durable."""

    def __init__(self, store: OrderStore, submitted: Callable[[Order], None]) -> None:
        self._store = store
        self._submitted = submitted

    async def offer(self, order: Order) -> None:
        """Keep the order as it was shown."""
        await self._store.offer(order)

    async def submit(self, order: Order) -> OrderReceipt:
        """Submit the order, exactly once."""
        submission = await self._store.submit(order)
        log.info(
            "order submitted" if submission.first else "order submitted before",
            tenant=order.tenant,
            order_id=order.order_id,
            lines=len(submission.order.lines),
        )
        if submission.first:
            self._submitted(submission.order)
        return OrderReceipt(order.order_id, submission.first, submission.order)

    async def withdraw(self, tenant: TenantId, order_id: str) -> None:
        """Close an order that was not confirmed."""
        await self._store.withdraw(tenant, order_id)
