"""The outbox: submitted orders that the log has still to get, and the leases by which several relays share them.

A relay claims rows for a while, publishes them, and marks them. One that dies between the last two leaves rows whose
lease runs out, and the next relay publishes them again: at least once, with the same `event_id`, never not at all.
A row that the log will never take as it is is set apart with its reason, until an operator has it tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from agent.storage.database import Database
from agent.storage.tables import outbox, storable
from runtime.clock import Clock
from runtime.isolation import Reason

_SECOND_US: Final = 1_000_000
_PENDING: Final = (outbox.c.published_us.is_(None), outbox.c.set_apart_us.is_(None))


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """One order's record, claimed by one relay. `attempts` counts this claim too."""

    tenant: str
    order_id: str
    payload: bytes
    created_us: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: how many records, and since when the oldest (microseconds; None where nothing waits).

    `set_apart` records do not wait: the log will never take them as they are.
    """

    pending: int
    oldest_us: int | None
    set_apart: int = 0


class Outbox:
    """The rows of all tenants, as relays take them."""

    def __init__(self, database: Database, *, clock: Clock | None = None) -> None:
        """`clock`: where the time is not the database's."""
        self._database = database
        self._now_us: Callable[[], int | ColumnElement[int]] = clock.now_us if clock else database.now_us

    async def claim(self, owner: str, *, limit: int, lease_s: float) -> list[OutboxRow]:
        """The oldest records that nobody holds, now held by `owner` for `lease_s` seconds; oldest first."""
        now = self._now_us()
        until = now + int(lease_s * _SECOND_US)
        free = (
            select(outbox.c.tenant, outbox.c.order_id)
            .where(*_PENDING, outbox.c.lease_until_us <= now)
            .order_by(outbox.c.created_us)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._database.write() as connection:
            keys = [(row.tenant, row.order_id) for row in await connection.execute(free)]
            if not keys:
                return []
            claimed = await connection.execute(
                update(outbox)
                .where(_any_of(keys))
                .values(lease_owner=owner, lease_until_us=until, attempts=outbox.c.attempts + 1)
                .returning(outbox)
            )
            rows = [
                OutboxRow(row.tenant, row.order_id, _encoded(row.payload), row.created_us, row.attempts)
                for row in claimed
            ]
        return sorted(rows, key=lambda row: (row.created_us, row.order_id))

    async def mark_published(self, owner: str, rows: Sequence[OutboxRow]) -> int:
        """Say that the log has these; returns how many were still this owner's, or unpublished."""
        if not rows:
            return 0
        async with self._database.write() as connection:
            marked = await connection.execute(
                update(outbox)
                .where(_any_of([(row.tenant, row.order_id) for row in rows]), outbox.c.published_us.is_(None))
                .values(published_us=self._now_us(), lease_owner=owner, lease_until_us=0)
            )
        return int(marked.rowcount)

    async def set_apart(self, owner: str, row: OutboxRow, reason: Reason) -> bool:
        """Say that the log will never take this one as it is; returns whether it was still this owner's to say."""
        async with self._database.write() as connection:
            marked = await connection.execute(
                update(outbox)
                .where(_any_of([(row.tenant, row.order_id)]), outbox.c.lease_owner == owner, *_PENDING)
                .values(
                    set_apart_us=self._now_us(),
                    reason=reason.code[:64],
                    detail=storable(reason.detail),
                    lease_until_us=0,
                )
            )
        return bool(marked.rowcount)

    async def release(self, owner: str, rows: Sequence[OutboxRow]) -> None:
        """Give rows back that could not be published, so that the next claim need not wait for the lease to run out."""
        if not rows:
            return
        async with self._database.write() as connection:
            await connection.execute(
                update(outbox)
                .where(_any_of([(row.tenant, row.order_id) for row in rows]), outbox.c.lease_owner == owner)
                .where(outbox.c.published_us.is_(None))
                .values(lease_until_us=0)
            )

    async def backlog(self) -> Backlog:
        """How much waits; for readiness and metrics."""
        waiting = select(func.count(), func.min(outbox.c.created_us)).where(*_PENDING)
        apart = select(func.count()).where(outbox.c.published_us.is_(None), outbox.c.set_apart_us.is_not(None))
        async with self._database.read() as connection:
            pending, oldest = (await connection.execute(waiting)).one()
            set_apart = (await connection.execute(apart)).scalar_one()
        return Backlog(int(pending), oldest, int(set_apart))


def _encoded(payload: object) -> bytes:
    """The record's bytes: text, or in SQLite whatever was put there in its place, which is not a reason to fail at all rows."""
    return payload if isinstance(payload, bytes) else str(payload).encode("utf-8", "replace")


def _any_of(keys: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    return or_(*(and_(outbox.c.tenant == tenant, outbox.c.order_id == order_id) for tenant, order_id in keys))
