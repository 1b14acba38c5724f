"""Which threads there are, taking them away with all that belongs to them, and what failed at one of them.

A failure is kept for the operator, and so that the pruner does not take the same thread for ever: one row a thread and stage,
with how often it failed. It goes when the operator has the thread tried again, when that succeeds, and with the thread: a
reason may quote what was said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Delete, and_, delete, exists, func, select, update

from agent.checkpoints.port import Checkpoints
from agent.conversation.order import OrderStatus
from agent.conversation.thread_names import ThreadName
from agent.storage.database import Database
from agent.storage.tables import orders, storable, threads, threads_apart
from agent.threads.leases import ThreadLeases
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.isolation import Reason
from schemas.identity import TenantId

PRUNING: Final = "pruning"
"""The pruner's stage."""


@dataclass(frozen=True, slots=True)
class ThreadApart:
    """One thread at one stage. Times are microseconds since 1970; before `again_us` it is left alone."""

    thread: str
    stage: str
    reason: str
    detail: str
    times: int
    first_us: int
    last_us: int
    again_us: int


class ThreadsApart:
    """The threads of all tenants; every call but `count` names the tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, name: ThreadName, stage: str, reason: Reason, *, again_us: int = 0) -> None:
        """Keep why a thread was set apart, beside how often it has been."""
        now = SYSTEM_CLOCK.now_us()
        given = {"reason": reason.code[:64], "detail": storable(reason.detail), "last_us": now, "again_us": again_us}
        async with self._database.write() as connection:
            await connection.execute(
                self._database.insert(threads_apart)
                .values(tenant=name.tenant, thread=name.thread, stage=stage, times=1, first_us=now, **given)
                .on_conflict_do_update(
                    index_elements=["tenant", "thread", "stage"], set_={"times": threads_apart.c.times + 1, **given}
                )
            )

    async def of_tenant(self, tenant: TenantId, *, limit: int) -> list[ThreadApart]:
        """What failed at this tenant's threads, the newest first."""
        wanted = select(threads_apart).where(threads_apart.c.tenant == tenant)
        async with self._database.read() as connection:
            rows = await connection.execute(wanted.order_by(threads_apart.c.last_us.desc()).limit(limit))
            return [
                ThreadApart(
                    row.thread, row.stage, row.reason, row.detail, row.times, row.first_us, row.last_us, row.again_us
                )
                for row in rows
            ]

    async def count(self) -> int:
        """How many threads of all tenants there are."""
        pairs = select(threads_apart.c.tenant, threads_apart.c.thread).distinct().subquery()
        async with self._database.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(pairs))).scalar_one())

    async def forget(self, name: ThreadName) -> bool:
        """Have a thread tried again at every stage; returns whether it was set apart."""
        async with self._database.write() as connection:
            return bool((await connection.execute(forgotten(name))).rowcount)


def forgotten(name: ThreadName, stage: str = "") -> Delete:
    """The statement by which a thread is not set apart any more, at one stage or at all."""
    statement = delete(threads_apart).where(
        threads_apart.c.tenant == name.tenant, threads_apart.c.thread == name.thread
    )
    return statement.where(threads_apart.c.stage == stage) if stage else statement


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

        A submitted order is a document of the tenant and stays. Called again it finishes what a crash left.
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
