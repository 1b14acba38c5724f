"""The port `OrderSink` over the store: a submission also wakes the relay and is counted, once."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from agent.orders.model import Order
from agent.orders.store import OrderStore
from agent.ports import OrderReceipt
from schemas.identity import TenantId

log = structlog.get_logger(__name__)


class OrderDesk:
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
