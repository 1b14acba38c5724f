"""A runtime of a few fixed sentences over the real orders and the real leases, for tests of what is around the graph."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from decimal import Decimal

from agent.conversation.order import Order
from agent.conversation.turn import TurnEvent, TurnRequest
from agent.errors import EmptyMessageError, ThreadNotFoundError
from agent.orders.relay import OrderService
from agent.threads.leases import ThreadLeases
from schemas.api.chat import ReplyCard, ReplyOrder, ThreadView, ToolTrace, TurnMetadata, TurnReply, TurnStep
from schemas.errors import StoreUnavailableError
from schemas.identity import TenantId
from schemas.records.orders import OrderLine

CARDS = tuple(
    ReplyCard(
        rank=rank, sku=f"SKU-{rank}", title=f"Cinta aislante {rank * 10} m", brand="Acme", unit="rollo",
        price=Decimal("12.50") * rank, currency="MXN", stock=Decimal(40 if rank < 3 else 0), matched=("texto",),
    )
    for rank in (1, 2, 3)
)  # fmt: skip


class FixedRuntime:
    """`agrega N` adds, `lento` is slow, `falla` fails, `clasificado` is a defect; the confirm button submits."""

    def __init__(self, orders: OrderService, leases: ThreadLeases) -> None:
        self._orders = orders
        self._leases = leases
        self._quantities: dict[tuple[str, str], Decimal] = {}
        self._turns: dict[tuple[str, str], int] = {}
        self._submitted: dict[tuple[str, str], tuple[str, ...]] = {}
        self._said: dict[tuple[str, str], list[dict[str, object]]] = {}
        self._last: dict[tuple[str, str], TurnReply] = {}
        self.ran = 0

    async def turn(self, request: TurnRequest) -> TurnReply:
        *_, reply = [event async for event in self.stream(request)]
        assert isinstance(reply, TurnReply)
        return reply

    async def stream(self, request: TurnRequest) -> AsyncIterator[TurnEvent]:
        if not request.message and request.confirm is None:
            raise EmptyMessageError
        async with self._leases.hold(TenantId(request.tenant), request.thread):
            self.ran += 1
            yield TurnStep(kind="planner", name="fixed", milliseconds=1.0)
            if request.message == "falla":
                raise StoreUnavailableError("qdrant-7.internal:6334 refused")
            if request.message == "clasificado":
                raise RuntimeError("secret")
            if request.message == "lento":
                await asyncio.sleep(30)
            yield TurnStep(kind="tool", name="catalog_search", milliseconds=2.0)
            yield await self._answer(request)

    async def view(self, tenant: TenantId, thread: str) -> ThreadView:
        name = (tenant, thread)
        if name not in self._last:
            raise ThreadNotFoundError
        last = self._last[name]
        return ThreadView(tenant=tenant, thread=thread, turn=last.turn, messages=tuple(self._said[name]), last=last)

    async def _answer(self, request: TurnRequest) -> TurnReply:
        name = (request.tenant, request.thread)
        number = self._turns[name] = self._turns.get(name, 0) + 1
        text, cards = f"Encontré 3 para «{request.message}».", CARDS
        if request.message.startswith("agrega"):
            self._quantities[name] = self._quantities.get(name, Decimal(0)) + Decimal(request.message.split()[1])
            text, cards = "Agregado. ¿Confirma?", ()
        order = self._order(request)
        shown = ReplyOrder()
        if order is not None and request.confirm is None:
            await self._orders.offer(order)
            shown = _shown(order)
        if order is not None and request.confirm is not None and request.confirm.digest in {"", order.digest}:
            receipt = await self._orders.submit(order)
            self._submitted[name] = (*self._submitted.get(name, ()), receipt.order_id)
            del self._quantities[name]
            text, cards = f"Pedido {receipt.order_id} confirmado.", ()
        elif request.confirm is not None:
            text, cards = "El pedido cambió.", ()
        reply = TurnReply(
            tenant=request.tenant, thread=request.thread, turn=number, text=text, cards=cards, order=shown,
            submitted=self._submitted.get(name, ()),
            metadata=TurnMetadata(
                planner="fixed", tools=(ToolTrace(name="catalog_search", args={"query": request.message}),),
                latency_ms={"total": 3.0},
            ),
        )  # fmt: skip
        said = self._said.setdefault(name, [])
        said += [{"role": "user", "text": request.message}, {"role": "agent", "text": text}]
        self._last[name] = reply
        return reply

    def _order(self, request: TurnRequest) -> Order | None:
        name = (request.tenant, request.thread)
        if name not in self._quantities:
            return None
        serial = len(self._submitted.get(name, ()))
        identity = hashlib.sha256(f"{name}{serial}".encode()).hexdigest()[:16]
        line = OrderLine(position=1, sku="SKU-1", title=CARDS[0].title, quantity=self._quantities[name], unit="rollo", price=Decimal("12.50"), price_shown=Decimal("12.00"), stock=Decimal(40))  # fmt: skip
        return Order(TenantId(request.tenant), identity, request.thread, (line,), "MXN", request.customer)


def _shown(order: Order) -> ReplyOrder:
    return ReplyOrder(
        order_id=order.order_id, digest=order.digest, status="awaiting_confirmation", lines=order.lines, total=order.total,
        currency=order.currency,
    )  # fmt: skip
