"""Orders as the tests make them."""

from collections.abc import Collection, Sequence
from decimal import Decimal

from agent.conversation.order import Order
from agent.orders.outbox import OutboxRow
from agent.orders.publishing import OrdersRefusedError
from schemas.errors import LogUnavailableError, RecordRefusedError
from schemas.identity import TenantId
from schemas.records.orders import OrderLine


def line(sku: str = "TOR-M8", quantity: str = "100", price: str | None = "0.35", **changes) -> OrderLine:
    money = None if price is None else Decimal(price)
    given = {"position": 1, "title": f"Producto {sku}", "unit": "pieza", "price_shown": money, "stock": Decimal(1200)}
    return OrderLine(sku=sku, quantity=Decimal(quantity), price=money, **{**given, **changes})


def order(order_id: str = "order-0001", *lines: OrderLine, tenant: str = "norte", **changes) -> Order:
    given = {"thread": "thread-1", "currency": "MXN"}
    return Order(tenant=TenantId(tenant), order_id=order_id, lines=lines or (line(),), **{**given, **changes})


class MemoryLog:
    """An `OrderPublisher` that keeps what it gets; `failures` says how often it is away first, `refuses` what it never takes."""

    def __init__(self, *, failures: int = 0, refuses: Collection[str] = ()) -> None:
        self.records: list[OutboxRow] = []
        self.failures = failures
        self.refuses = refuses
        self.closed = False

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        if self.failures:
            self.failures -= 1
            raise LogUnavailableError
        self.records.extend(row for row in rows if row.order_id not in self.refuses)
        refusals = {row: RecordRefusedError() for row in rows if row.order_id in self.refuses}
        if refusals:
            raise OrdersRefusedError(refusals)

    async def close(self) -> None:
        self.closed = True
