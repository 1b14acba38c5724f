"""What failed at a thread, and why: kept for the operator, and so that the pruner does not take the same thread for ever.

One row a thread and stage, with how often it failed. It goes when the operator has the thread tried again, when that
succeeds, and with the thread: a reason may quote what was said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Delete, delete, func, select

from agent.checkpoints.thread_key import ThreadName
from agent.storage.database import Database
from agent.storage.tables import storable, threads_apart
from runtime.clock import SYSTEM_CLOCK
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
