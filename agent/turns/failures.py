"""Whose failure it was: calls of the catalogue and of the orders mark theirs, which tells them from those of our own steps.

A step of ours is pure: what it failed at, it fails at again, and the turn is closed at once. A dependency that fails in a way
that nobody foresaw may answer the next time; and whether an order was taken is not known. Such a turn stays as it is and is
tried once more, by the next message, before it is closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Unpack

from agent.conversation.order import Order
from agent.conversation.products import Found, Product
from agent.ports import CatalogueSearch, Narrowing, OrderReceipt, OrderSink
from schemas.errors import PoisonError
from schemas.identity import TenantId

_NOTE: Final = "raised outside of the turn, by a dependency"


def is_ours(error: Exception) -> bool:
    """Whether a step of ours raised it, or a dependency says for certain that it will never do what was asked."""
    return isinstance(error, PoisonError) or _NOTE not in getattr(error, "__notes__", ())


@contextmanager
def _marked() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(_NOTE)
        raise


class DependencySearch:
    """`CatalogueSearch` over another one."""

    def __init__(self, search: CatalogueSearch) -> None:
        self._search = search

    async def find(self, tenant: TenantId, text: str, *, limit: int, **narrowed: Unpack[Narrowing]) -> Found:
        """Search."""
        with _marked():
            return await self._search.find(tenant, text, limit=limit, **narrowed)

    async def items(self, tenant: TenantId, skus: Sequence[str]) -> Mapping[str, Product]:
        """The products as they are now."""
        with _marked():
            return await self._search.items(tenant, skus)

    async def vocabulary(self, tenant: TenantId, text: str, *, limit: int) -> list[str]:
        """Words of the catalogue near the text's."""
        with _marked():
            return await self._search.vocabulary(tenant, text, limit=limit)


class DependencyOrders:
    """`OrderSink` over another one."""

    def __init__(self, orders: OrderSink) -> None:
        self._orders = orders

    async def offer(self, order: Order) -> None:
        """Keep the order as it was shown."""
        with _marked():
            await self._orders.offer(order)

    async def submit(self, order: Order) -> OrderReceipt:
        """Submit the order."""
        with _marked():
            return await self._orders.submit(order)

    async def withdraw(self, tenant: TenantId, order_id: str) -> None:
        """Close an order that was shown and not confirmed."""
        with _marked():
            await self._orders.withdraw(tenant, order_id)
