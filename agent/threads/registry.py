"""Which threads there are, and taking them away with all that belongs to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ColumnElement, and_, delete, exists, select, update

from agent.checkpoints.port import Checkpoints
from agent.checkpoints.thread_key import ThreadName
from agent.orders.model import OrderStatus
from agent.storage.database import Database
from agent.storage.tables import orders, threads, threads_apart
from agent.threads.apart import PRUNING, ThreadsApart, forgotten
from agent.threads.guard import ThreadLeases
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.identity import TenantId


class ThreadRegistry:
    """The threads of all tenants, their turns and their checkpoints."""

    def __init__(
        self, database: Database, checkpoints: Checkpoints, leases: ThreadLeases, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._database = database
        self._checkpoints = checkpoints
        self._leases = leases
        self._clock = clock
        self.apart = ThreadsApart(database)

    async def exists(self, name: ThreadName) -> bool:
        """Whether the tenant has this thread."""
        async with self._database.read() as connection:
            found = await connection.execute(
                select(threads.c.turns).where(threads.c.tenant == name.tenant, threads.c.thread == name.thread)
            )
            return found.one_or_none() is not None

    async def of_customer(self, tenant: TenantId, customer: str) -> list[ThreadName]:
        """The threads of one customer."""
        wanted = and_(threads.c.tenant == tenant, threads.c.customer == customer)
        async with self._database.read() as connection:
            rows = await connection.execute(select(threads.c.tenant, threads.c.thread).where(wanted))
            return [ThreadName(TenantId(row.tenant), row.thread) for row in rows]

    async def idle_since(
        self, before_us: int, *, limit: int, passed_over: Collection[ThreadName] = ()
    ) -> list[ThreadName]:
        """Threads of any tenant whose last turn was before that time, longest idle first.

        Not those in which somebody is at work, those that are set apart for now, and those that are `passed_over`.
        """
        return await self._free(threads.c.last_turn_us < before_us, limit, passed_over)

    async def untrimmed(self, *, limit: int, passed_over: Collection[ThreadName] = ()) -> list[ThreadName]:
        """Threads that had turns since they were last trimmed; the others as in `idle_since`."""
        return await self._free(threads.c.trimmed_us < threads.c.last_turn_us, limit, passed_over)

    async def _free(
        self, wanted: ColumnElement[bool], limit: int, passed_over: Collection[ThreadName]
    ) -> list[ThreadName]:
        now = self._clock.now_us()
        apart = exists().where(
            threads_apart.c.tenant == threads.c.tenant,
            threads_apart.c.thread == threads.c.thread,
            threads_apart.c.again_us > now,
        )
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(threads.c.tenant, threads.c.thread)
                .where(wanted, threads.c.lease_until_us <= self._database.now_us(), ~apart)
                .order_by(threads.c.last_turn_us)
                # Those that are passed over are few, and may all be among the first.
                .limit(limit + len(passed_over))
            )
            found = [ThreadName(TenantId(row.tenant), row.thread) for row in rows]
        return [name for name in found if name not in passed_over][:limit]

    async def trim(self, names: Sequence[ThreadName]) -> None:
        """Keep only the newest checkpoint of these threads."""
        for name in names:
            async with self._leases.hold(name.tenant, name.thread):
                await self._checkpoints.trim([name.key])
                async with self._database.write(durable=False) as connection:
                    await connection.execute(
                        update(threads)
                        .where(threads.c.tenant == name.tenant, threads.c.thread == name.thread)
                        .values(trimmed_us=self._clock.now_us())
                    )
                    await connection.execute(forgotten(name, PRUNING))

    async def delete(self, names: Sequence[ThreadName]) -> None:
        """Delete threads: state, turns and messages. Orders that were shown and not confirmed are withdrawn with them.

        A submitted order is a document of the shop and stays. Called again it finishes what a crash left.
        """
        for name in names:
            async with self._leases.hold(name.tenant, name.thread):
                await self._checkpoints.delete([name.key])
                async with self._database.write() as connection:
                    offered = and_(orders.c.tenant == name.tenant, orders.c.thread == name.thread)
                    await connection.execute(
                        update(orders)
                        .where(offered, orders.c.status == OrderStatus.OFFERED)
                        .values(status=OrderStatus.WITHDRAWN, updated_us=self._clock.now_us())
                    )
                    await connection.execute(
                        delete(threads).where(threads.c.tenant == name.tenant, threads.c.thread == name.thread)
                    )
