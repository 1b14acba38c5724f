"""Orders in memory, counted: what an evaluation needs to see that nothing was submitted twice."""

from __future__ import annotations

from collections import Counter

from agent.orders.errors import OrderClosedError
from agent.orders.model import Order
from agent.ports import OrderReceipt
from schemas.identity import TenantId


class CountingOrders:
    """`OrderSink` in memory. `submissions` counts by order id how often an order was taken as new."""

    def __init__(self) -> None:
        self.offered: dict[str, Order] = {}
        self.submitted: dict[str, Order] = {}
        self.withdrawn: set[str] = set()
        self.submissions: Counter[str] = Counter()
        self.contents: Counter[tuple[str, str]] = Counter()

    async def offer(self, order: Order) -> None:
        """Keep the order as shown."""
        self.offered[order.order_id] = order

    async def submit(self, order: Order) -> OrderReceipt:
        """Take the order once."""
        if order.order_id in self.withdrawn:
            raise OrderClosedError
        first = order.order_id not in self.submitted
        if first:
            self.submissions[order.order_id] += 1
            self.contents[order.thread, order.digest] += 1
        return OrderReceipt(order.order_id, first, self.submitted.setdefault(order.order_id, order))

    async def withdraw(self, tenant: TenantId, order_id: str) -> None:
        """Close the order."""
        del tenant
        if order_id not in self.submitted:
            self.withdrawn.add(order_id)

    @property
    def doubled(self) -> int:
        """How many submissions there were beyond one per order and one per content of a conversation."""
        by_id = sum(count - 1 for count in self.submissions.values())
        by_content = sum(count - 1 for count in self.contents.values())
        return max(by_id, by_content)
