"""Test doubles of the agent's ports: orders, leases and the record of threads in memory.

For tests, and for evaluations, which talk to the agent without its database; no deployment uses them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent.conversation.order import Order
from agent.conversation.state import ThreadState
from agent.conversation.thread_names import thread_key
from agent.errors import OrderClosedError
from agent.ports import OrderReceipt
from runtime.isolation import Reason
from schemas.identity import TenantId


class NoRecord:
    """`ThreadRecord` of a process that keeps none: what is set apart is in its log alone."""

    async def set_apart(self, tenant: TenantId, thread: str, stage: str, reason: Reason) -> None:
        """Nothing is kept."""

    async def recall(self, tenant: TenantId, thread: str) -> ThreadState | None:
        """Nothing is known."""
        del tenant, thread
        return None


class LocalGuard:
    """`ThreadGuard` of a single process: one lock a thread, forgotten when nobody waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, tenant: TenantId, thread: str) -> AsyncIterator[None]:
        """Wait for the thread's lock."""
        key = thread_key(tenant, thread)
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)


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
