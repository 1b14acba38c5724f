"""The ledger of what models cost, in the agent's database: by tenant, day and model, and by address and day."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.planners.cascade import Spent
from agent.planners.model import ModelAnswer
from agent.storage.database import Database
from agent.storage.tables import address_usage, model_usage
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.identity import TenantId


class DatabaseLedger:
    """The ledger in the agent's database: one row a tenant, day (UTC) and model, and, for today only, one an address."""

    def __init__(self, database: Database, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._clock = clock

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock.now_us() / 1e6, UTC).date().isoformat()

    async def spent(self, tenant: TenantId, spender: str = "") -> Spent:
        """Read the rows of today."""
        columns = model_usage.c
        tokens = func.coalesce(func.sum(columns.input_tokens + columns.output_tokens), 0)
        wanted = columns.tenant == tenant, columns.day == self._today()
        async with self._database.read() as connection:
            total = (await connection.execute(select(tokens).where(*wanted))).scalar_one()
            costs = (await connection.execute(select(columns.cost).where(*wanted))).scalars().all()
            # Over all tenants: where no keys are, anybody may name one that never was.
            day, address = address_usage.c.day == self._today(), address_usage.c.address == spender
            own = select(func.sum(address_usage.c.tokens)).where(day, address)
            of_address = (await connection.execute(own)).scalar() if spender else 0
        return Spent(int(total), sum(costs, Decimal(0)), int(of_address or 0))

    async def add(self, tenant: TenantId, model: str, answer: ModelAnswer, spender: str = "") -> None:
        """Add to today's row, under its lock: text cannot be added up inside SQLite."""
        key = {"tenant": tenant, "day": self._today(), "model": model}
        columns = model_usage.c
        where = columns.tenant == tenant, columns.day == key["day"], columns.model == model
        async with self._database.write(durable=False) as connection:
            empty = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "cost": Decimal(0)}
            await connection.execute(self._database.insert(model_usage).values(**key, **empty).on_conflict_do_nothing())
            row = (await connection.execute(select(model_usage).where(*where).with_for_update())).one()
            await connection.execute(
                model_usage.update()
                .where(*where)
                .values(
                    calls=row.calls + 1,
                    input_tokens=row.input_tokens + answer.input_tokens,
                    output_tokens=row.output_tokens + answer.output_tokens,
                    cost=row.cost + answer.cost,
                )
            )
            if spender:
                await self._add_to_address(connection, tenant, spender, answer.input_tokens + answer.output_tokens)

    async def _add_to_address(self, connection: AsyncConnection, tenant: TenantId, spender: str, tokens: int) -> None:
        """Add to the address' row of today; the first of a day takes away those of days before, which nobody needs."""
        day = self._today()
        made = await connection.execute(
            self._database.insert(address_usage)
            .values(tenant=tenant, day=day, address=spender, tokens=0)
            .on_conflict_do_nothing()
        )
        if made.rowcount:
            await connection.execute(delete(address_usage).where(address_usage.c.day < day))
        await connection.execute(
            address_usage.update().where(*_is(tenant, day, spender)).values(tokens=address_usage.c.tokens + tokens)
        )


def _is(tenant: TenantId, day: str, spender: str) -> tuple[ColumnElement[bool], ...]:
    columns = address_usage.c
    return columns.tenant == tenant, columns.day == day, columns.address == spender
