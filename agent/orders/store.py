"""Orders in the database. The promise is `submit`: however often it is called, an order is submitted once.

The order's state and the row of the outbox change in one transaction, under the order's row lock, and the outbox has
the order's identity as its key: two requests, two processes or a crash between them can neither lose nor double it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from agent.conversation.order import Order, OrderApart, OrderStatus
from agent.errors import EmptyOrderError, OrderClosedError, OrderNotFoundError, OrderUnpublishableError
from agent.orders.event import submitted_event
from agent.storage.database import Database
from agent.storage.tables import order_lines, orders, outbox
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.identity import TenantId
from schemas.records.orders import OrderLine


@dataclass(frozen=True, slots=True)
class Submission:
    """What came of a submission: the order as it is stored, and whether this call was the one that submitted it."""

    order: Order
    first: bool


@dataclass(frozen=True, slots=True)
class OrderPage:
    """Some orders, newest first, and the cursor of those after them; empty at the end."""

    orders: tuple[Order, ...]
    cursor: str


class OrderStore:
    """Orders of all tenants; every call names the tenant, and one tenant's call never sees another's order."""

    def __init__(self, database: Database, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._database = database
        self._clock = clock

    async def offer(self, order: Order) -> Order:
        """Store the order as it is shown to the person, over what was shown before; a submitted one stays as it is.

        Raises:
            EmptyOrderError: it has no lines.
            DatabaseUnavailableError: nothing was stored.
        """
        if not order.lines:
            raise EmptyOrderError
        async with self._database.write() as connection:
            stored = await self._locked(connection, order)
            if stored.status is OrderStatus.SUBMITTED:
                return stored
            return await self._replace(connection, order, stored, OrderStatus.OFFERED)

    async def submit(self, order: Order) -> Submission:
        """Submit the order: lines, state and outbox row in one transaction. A second call finds it submitted.

        Raises:
            EmptyOrderError: it has no lines.
            OrderUnpublishableError: no record for the log can be made of it; nothing was changed.
            OrderClosedError: it was withdrawn, or was submitted with other lines than these.
            DatabaseUnavailableError: whether it was submitted is not known; call again with the same order.
        """
        if not order.lines:
            raise EmptyOrderError
        async with self._database.write() as connection:
            stored = await self._locked(connection, order)
            if stored.status is OrderStatus.SUBMITTED:
                if _wanted(stored) != _wanted(order):
                    raise OrderClosedError(
                        f"order {order.order_id} was submitted with other lines; begin another one in the conversation"
                    )
                return Submission(stored, first=False)
            if stored.status is OrderStatus.WITHDRAWN:
                raise OrderClosedError
            submitted = await self._replace(connection, order, stored, OrderStatus.SUBMITTED)
            assert submitted.submitted_us is not None
            await connection.execute(
                outbox.insert().values(
                    tenant=order.tenant,
                    order_id=order.order_id,
                    payload=_record(submitted),
                    created_us=submitted.submitted_us,
                    lease_owner="",
                    lease_until_us=0,
                    attempts=0,
                )
            )
            return Submission(submitted, first=True)

    async def withdraw(self, tenant: TenantId, order_id: str) -> None:
        """Close an order that was shown and not confirmed; one that is submitted, or unknown, stays as it is."""
        async with self._database.write() as connection:
            await connection.execute(
                update(orders)
                .where(_is(tenant, order_id), orders.c.status == OrderStatus.OFFERED)
                .values(status=OrderStatus.WITHDRAWN, updated_us=self._clock.now_us())
            )

    async def get(self, tenant: TenantId, order_id: str) -> Order:
        """The order.

        Raises:
            OrderNotFoundError: this tenant has none of that id.
        """
        async with self._database.read() as connection:
            found = await _select(connection, _is(tenant, order_id), limit=1)
        if not found:
            raise OrderNotFoundError
        return found[0]

    async def page(
        self,
        tenant: TenantId,
        *,
        thread_prefix: str = "",
        thread: str | None = None,
        customer: str | None = None,
        status: OrderStatus | None = None,
        set_apart: bool = False,
        after: str = "",
        limit: int = 50,
    ) -> OrderPage:
        """The tenant's orders, newest first; `after` is the cursor of the page before.

        `thread_prefix`: only those of conversations whose names begin so; `set_apart`: only those that the log will never take as they are.

        Raises:
            OrderNotFoundError: the cursor names no order of this tenant, or none of these conversations.
        """
        wanted = [orders.c.tenant == tenant]
        if thread_prefix:
            wanted.append(orders.c.thread.startswith(thread_prefix, autoescape=True))
        for column, value in ((orders.c.thread, thread), (orders.c.customer, customer), (orders.c.status, status)):
            if value is not None:
                wanted.append(column == value)
        if set_apart:
            wanted += [outbox.c.set_apart_us.is_not(None), outbox.c.published_us.is_(None)]
        async with self._database.read() as connection:
            if after:
                before = select(orders.c.created_us).where(
                    _is(tenant, after), orders.c.thread.startswith(thread_prefix, autoescape=True)
                )
                last = (await connection.execute(before)).scalar()
                if last is None:
                    raise OrderNotFoundError
                older = and_(orders.c.created_us == last, orders.c.order_id < after)
                wanted.append(or_(orders.c.created_us < last, older))
            found = await _select(connection, and_(*wanted), limit=limit + 1)
        page = found[:limit]
        return OrderPage(tuple(page), page[-1].order_id if len(found) > limit else "")

    async def retry(self, tenant: TenantId, order_id: str) -> Order:
        """Have an order that was set apart published after all: its record is made anew from the order.

        One that was not set apart stays as it is.

        Raises:
            OrderNotFoundError: this tenant has none of that id.
            OrderUnpublishableError: no record can be made of it by this version, either; it stays set apart.
        """
        ours = and_(outbox.c.tenant == tenant, outbox.c.order_id == order_id)
        async with self._database.write() as connection:
            found = await _select(connection, _is(tenant, order_id), limit=1)
            if not found:
                raise OrderNotFoundError
            (order,) = found
            if order.apart is None:
                return order
            await connection.execute(
                update(outbox)
                .where(ours, outbox.c.published_us.is_(None))
                .values(payload=_record(order), set_apart_us=None, reason="", detail="", lease_until_us=0, attempts=0)
            )
        return replace(order, apart=None)

    async def _locked(self, connection: AsyncConnection, order: Order) -> Order:
        """The stored order, its row locked until the end of the transaction; made where it was not there yet."""
        now = self._clock.now_us()
        await connection.execute(
            self._database.insert(orders)
            .values(
                tenant=order.tenant,
                order_id=order.order_id,
                thread=order.thread,
                customer=order.customer,
                status=OrderStatus.OFFERED,
                currency=order.currency,
                digest="",
                created_us=now,
                updated_us=now,
            )
            .on_conflict_do_nothing()
        )
        await connection.execute(select(orders.c.order_id).where(_is(order.tenant, order.order_id)).with_for_update())
        return (await _select(connection, _is(order.tenant, order.order_id), limit=1))[0]

    async def _replace(self, connection: AsyncConnection, order: Order, stored: Order, status: OrderStatus) -> Order:
        if stored.thread != order.thread:
            raise OrderClosedError(f"order {order.order_id} belongs to another conversation")
        now = self._clock.now_us()
        made = replace(
            order,
            status=status,
            created_us=stored.created_us,
            updated_us=now,
            submitted_us=now if status is OrderStatus.SUBMITTED else None,
        )
        await connection.execute(
            update(orders)
            .where(_is(order.tenant, order.order_id))
            .values(
                status=status,
                currency=made.currency,
                customer=made.customer,
                digest=made.digest,
                updated_us=now,
                submitted_us=made.submitted_us,
            )
        )
        await connection.execute(
            delete(order_lines).where(order_lines.c.tenant == order.tenant, order_lines.c.order_id == order.order_id)
        )
        await connection.execute(order_lines.insert(), _line_rows(made))
        return made


def _record(order: Order) -> str:
    """What the log gets of an order; made before anything is stored of it, so that a submitted order always has one."""
    try:
        return submitted_event(order).model_dump_json()
    except (ValueError, ArithmeticError, AssertionError) as error:
        raise OrderUnpublishableError from error


def _wanted(order: Order) -> list[tuple[str, Decimal, str]]:
    """What the person ordered, without prices: a repeated confirmation may meet a price that has changed since."""
    return [(line.sku, line.quantity, line.unit) for line in order.lines]


def _is(tenant: TenantId, order_id: str) -> ColumnElement[bool]:
    return and_(orders.c.tenant == tenant, orders.c.order_id == order_id)


def _line_rows(order: Order) -> list[dict[str, Any]]:
    return [
        {
            "tenant": order.tenant,
            "order_id": order.order_id,
            "position": position,
            "sku": line.sku,
            "title": line.title,
            "quantity": line.quantity,
            "unit": line.unit,
            "pack": line.pack,
            "price_shown": line.price_shown,
            "price": line.price,
            "stock": line.stock,
        }
        for position, line in enumerate(order.lines)
    ]


async def _select(connection: AsyncConnection, wanted: ColumnElement[bool], *, limit: int) -> list[Order]:
    published = and_(outbox.c.tenant == orders.c.tenant, outbox.c.order_id == orders.c.order_id)
    rows = (
        await connection.execute(
            select(orders, outbox.c.published_us, outbox.c.set_apart_us, outbox.c.reason, outbox.c.detail)
            .select_from(orders.outerjoin(outbox, published))
            .where(wanted)
            .order_by(orders.c.created_us.desc(), orders.c.order_id.desc())
            .limit(limit)
        )
    ).all()
    if not rows:
        return []
    lines: dict[tuple[str, str], list[OrderLine]] = {}
    for line in await connection.execute(
        select(order_lines)
        .where(
            order_lines.c.tenant.in_({row.tenant for row in rows}),
            order_lines.c.order_id.in_([row.order_id for row in rows]),
        )
        .order_by(order_lines.c.position)
    ):
        lines.setdefault((line.tenant, line.order_id), []).append(_line(line))
    return [_order(row, lines.get((row.tenant, row.order_id), ())) for row in rows]


def _order(row: Row[Any], lines: Sequence[OrderLine]) -> Order:
    return Order(
        tenant=TenantId(row.tenant),
        order_id=row.order_id,
        thread=row.thread,
        lines=tuple(lines),
        currency=row.currency,
        customer=row.customer,
        status=OrderStatus(row.status),
        created_us=row.created_us,
        updated_us=row.updated_us,
        submitted_us=row.submitted_us,
        published_us=row.published_us,
        apart=_apart(row),
    )


def _apart(row: Row[Any]) -> OrderApart | None:
    if row.set_apart_us is None or row.published_us is not None:
        return None
    return OrderApart(row.reason, row.detail, row.set_apart_us)


def _line(row: Row[Any]) -> OrderLine:
    return OrderLine(
        position=row.position + 1,
        sku=row.sku,
        title=row.title,
        quantity=row.quantity,
        unit=row.unit,
        pack=row.pack,
        price_shown=row.price_shown,
        price=row.price,
        stock=row.stock,
    )
