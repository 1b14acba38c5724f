"""One turn at a time in a thread, over all processes: a lease on the thread's row, renewed while the turn runs.

A worker that dies in mid-turn leaves a lease that runs out within seconds; the next worker takes it and goes on from
the thread's newest checkpoint. One that stalls, or cannot renew, so long that its lease may be another's is stopped, not
left to write on.
"""

from __future__ import annotations

import asyncio
import uuid
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.errors import TooManyThreadsError
from agent.storage.database import Database
from agent.storage.tables import threads
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.errors import RetryableError
from schemas.identity import TenantId

log = structlog.get_logger(__name__)

_PAUSE_S: Final = 0.03


class ThreadBusyError(RetryableError):
    """Another message of this conversation is still being answered. Send this one again in a moment."""

    code = "thread_busy"


class ThreadLeases:
    """The port `ThreadGuard`."""

    def __init__(
        self,
        database: Database,
        *,
        lease_s: float = 5.0,
        wait_s: float = 20.0,
        most: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`most`: how many threads a tenant may have, beyond which none is begun."""
        self._most = most
        self._database = database
        self._lease_s = lease_s
        self._wait_s = wait_s
        self._clock = clock
        # Turns of one thread in this process queue here and spare the database the asking.
        self._here: weakref.WeakValueDictionary[tuple[str, str], asyncio.Lock] = weakref.WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, tenant: TenantId, thread: str) -> AsyncIterator[None]:
        """Wait for the thread's turn, and keep it while the block lasts. Makes the thread's row where there is none.

        Raises:
            ThreadBusyError: it stayed taken, or this process stalled so long that another took it.
            TooManyThreadsError: it would be a new one, and the tenant has as many as it may.
        """
        lock = self._here.setdefault((tenant, thread), asyncio.Lock())
        deadline = self._clock.monotonic() + self._wait_s
        try:
            async with asyncio.timeout(self._wait_s):
                await lock.acquire()
        except TimeoutError as error:
            raise ThreadBusyError from error
        try:
            owner = uuid.uuid4().hex
            while not await self._take(tenant, thread, owner):
                if self._clock.monotonic() > deadline:
                    raise ThreadBusyError
                await asyncio.sleep(_PAUSE_S)
            try:
                async with self._renewed(tenant, thread, owner):
                    yield
            finally:
                await self._give_back(tenant, thread, owner)
        finally:
            lock.release()

    @asynccontextmanager
    async def _renewed(self, tenant: TenantId, thread: str, owner: str) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(None) as scope:
                renewing = asyncio.create_task(self._renew_or_end(tenant, thread, owner, scope))
                try:
                    yield
                finally:
                    renewing.cancel()
                    await asyncio.wait({renewing})
        except TimeoutError as error:
            if not scope.expired():
                raise
            raise ThreadBusyError(
                "this worker could not keep the conversation, and another one may have taken it over; send the message again"
            ) from error

    async def _renew_or_end(self, tenant: TenantId, thread: str, owner: str, scope: asyncio.Timeout) -> None:
        """Renew while the turn runs. However renewing ends, the turn ends with it: it must not write without its lease."""
        try:
            await self._renew(tenant, thread, owner)
        except RetryableError as error:
            log.error("thread lease ran out unrenewed", tenant=tenant, code=error.code)  # noqa: TRY400 - no defect of ours
        except Exception:
            log.exception("thread lease cannot be renewed", tenant=tenant)
        else:
            log.error("thread lease lost", tenant=tenant)
        scope.reschedule(asyncio.get_running_loop().time())

    async def _renew(self, tenant: TenantId, thread: str, owner: str) -> None:
        """Renew until the lease is another's.

        Raises:
            RetryableError: the database did not answer for as long as the lease holds.
        """
        runs_out_at = self._clock.monotonic() + self._lease_s
        while True:
            await asyncio.sleep(self._lease_s / 3)
            asked_at = self._clock.monotonic()
            try:
                async with self._database.write(durable=False) as connection:
                    renewed = await connection.execute(
                        update(threads)
                        .where(_is(tenant, thread), threads.c.lease_owner == owner)
                        .values(lease_until_us=self._until_us())
                    )
            except RetryableError as error:
                log.warning("thread lease not renewed", tenant=tenant, code=error.code)
                if self._clock.monotonic() > runs_out_at - self._lease_s / 3:
                    raise  # the next try would come when the lease has run out
                continue
            if not renewed.rowcount:
                return
            runs_out_at = asked_at + self._lease_s

    async def _take(self, tenant: TenantId, thread: str, owner: str) -> bool:
        now = self._database.now_us()
        async with self._database.write(durable=False) as connection:
            made = await connection.execute(
                self._database.insert(threads)
                .values(
                    tenant=tenant,
                    thread=thread,
                    customer="",
                    turns=0,
                    created_us=now,
                    last_turn_us=now,
                    trimmed_us=0,
                    lease_owner="",
                    lease_until_us=0,
                )
                .on_conflict_do_nothing()
            )
            if made.rowcount > 0 and self._most is not None:
                await self._require_room(connection, tenant)
            taken = await connection.execute(
                update(threads)
                .where(_is(tenant, thread), threads.c.lease_until_us <= now)
                .values(lease_owner=owner, lease_until_us=self._until_us())
            )
        return bool(taken.rowcount)

    async def _require_room(self, connection: AsyncConnection, tenant: TenantId) -> None:
        """Take the new thread back with the transaction where it is one too many."""
        held = select(func.count()).select_from(threads).where(threads.c.tenant == tenant)
        if (await connection.execute(held)).scalar_one() > (self._most or 0):
            raise TooManyThreadsError

    async def _give_back(self, tenant: TenantId, thread: str, owner: str) -> None:
        try:
            async with self._database.write(durable=False) as connection:
                await connection.execute(
                    update(threads).where(_is(tenant, thread), threads.c.lease_owner == owner).values(lease_until_us=0)
                )
        except RetryableError as error:
            # The lease runs out by itself; the turn's own outcome matters more than this.
            log.warning("thread lease not given back", tenant=tenant, code=error.code)

    def _until_us(self) -> ColumnElement[int]:
        return self._database.now_us() + int(self._lease_s * 1_000_000)


def _is(tenant: TenantId, thread: str) -> ColumnElement[bool]:
    return and_(threads.c.tenant == tenant, threads.c.thread == thread)
