"""The chat as the HTTP face and the terminal use it: a turn with its replay, its record and its figures; orders; threads.

request ── answered before under this key? ──▶ that answer
             │ no
             └─▶ runtime (one turn at a time in a thread) ─▶ turn log ─▶ metrics, span, one log line
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Final, Protocol

import structlog

from agent.checkpoints.port import store_failures_as_ours
from agent.conversation.order import Order, OrderStatus
from agent.conversation.thread_names import ThreadName, ThreadNames
from agent.conversation.turn import TurnEvent, TurnRequest, logged_answer, request_digest
from agent.errors import (
    OrderChangedError,
    OrderNotFoundError,
    OrderUnpublishableError,
    StillUnpublishableError,
    ThreadNotFoundError,
)
from agent.metrics import AgentMetrics
from agent.orders.store import OrderPage, OrderStore
from agent.threads.log import LoggedTurn, TurnLog
from agent.threads.registry import ThreadApart, ThreadRegistry
from agent.tracing import TurnSpans, log_fields, trace_of
from runtime.clock import SYSTEM_CLOCK
from runtime.isolation import Reason, concerns_one
from schemas.api.chat import OrderConfirmation, ThreadView, TurnReply
from schemas.errors import FerrofluxError, RetryableError
from schemas.identity import TenantId

log = structlog.get_logger(__name__)

RECORD: Final = "turn record"
"""The stage after the answer: what fails there costs the record of the turn, not the answer."""


class TurnTimeoutError(RetryableError):
    """The turn took too long and was stopped. Send the same message again: what it had done is not done twice."""

    code = "turn_timeout"


class Runtime(Protocol):
    """The agent itself: `agent.turns.runtime.AgentRuntime`."""

    async def turn(self, request: TurnRequest) -> TurnReply:
        """Answer one message."""
        ...

    def stream(self, request: TurnRequest) -> AsyncIterator[TurnEvent]:
        """Answer one message, with the steps on the way; the last event holds the reply."""
        ...

    async def view(self, tenant: TenantId, thread: str) -> ThreadView:
        """A conversation as it stands."""
        ...


class ChatService:
    """One process's chat. Every call names the tenant; who may name which was checked before."""

    def __init__(
        self,
        runtime: Runtime,
        turns: TurnLog,
        threads: ThreadRegistry,
        orders: OrderStore,
        metrics: AgentMetrics,
        spans: TurnSpans,
        *,
        names: ThreadNames,
        turn_s: float,
    ) -> None:
        self.names = names
        self._runtime = runtime
        self._turns = turns
        self._threads = threads
        self._orders = orders
        self._metrics = metrics
        self._spans = spans
        self._turn_s = turn_s

    async def turn(
        self, request: TurnRequest, *, request_id: str = "", headers: Mapping[str, str] | None = None
    ) -> TurnReply:
        """Answer one message, or give the answer that its key had.

        Raises:
            ReusedKeyError: the key belongs to another request.
            FerrofluxError: the message is not one, the thread is busy or full, or a store is away.
        """
        events = self.stream(request, request_id=request_id, headers=headers)
        reply: TurnReply | None = None
        async for event in events:
            reply = event if isinstance(event, TurnReply) else reply
        assert reply is not None
        return reply

    async def stream(
        self, request: TurnRequest, *, request_id: str = "", headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[TurnEvent]:
        """The same with the steps on the way; the last event holds the reply. Raises as `turn`."""
        before = await logged_answer(self._turns, request)
        if before is not None:
            self._metrics.replayed()
            yield before
            return
        started_ns = SYSTEM_CLOCK.now_us() * 1000
        reply: TurnReply | None = None
        try:
            with store_failures_as_ours():
                async with asyncio.timeout(self._turn_s):
                    async for event in self._runtime.stream(request):
                        if isinstance(event, TurnReply):
                            reply = event
                        else:
                            yield event
        except TimeoutError as error:
            self._metrics.failed(TurnTimeoutError.code)
            raise TurnTimeoutError from error
        except FerrofluxError as error:
            self._metrics.failed(error.code)
            raise
        assert reply is not None
        await self._record(request, reply, started_ns, request_id, headers or {})
        yield reply

    async def view(self, tenant: TenantId, thread: str) -> ThreadView:
        """A conversation.

        Raises:
            ThreadNotFoundError: the tenant has no such thread.
        """
        with store_failures_as_ours():
            return await self._runtime.view(tenant, thread)

    async def traces(self, tenant: TenantId, thread: str) -> list[LoggedTurn]:
        """The turns of a conversation with their traces.

        Raises:
            ThreadNotFoundError: the tenant has no such thread.
        """
        turns = await self._turns.of_thread(tenant, thread)
        if not turns:
            raise ThreadNotFoundError
        return turns

    async def delete(self, tenant: TenantId, thread: str) -> None:
        """Delete a conversation.

        Raises:
            ThreadNotFoundError: the tenant has no such thread.
        """
        name = ThreadName(tenant, thread)
        if not await self._threads.exists(name):
            raise ThreadNotFoundError
        await self._threads.delete([name])
        log.info("threads deleted", tenant=tenant, threads=1)

    async def delete_customer(self, tenant: TenantId, customer: str, *, thread_prefix: str = "") -> int:
        """Delete all conversations of one customer, of those whose names begin with `thread_prefix`; returns how many there were."""
        names = [
            name for name in await self._threads.of_customer(tenant, customer) if name.thread.startswith(thread_prefix)
        ]
        await self._threads.delete(names)
        log.info("threads deleted", tenant=tenant, threads=len(names))
        return len(names)

    async def order(self, tenant: TenantId, order_id: str, *, thread_prefix: str = "") -> Order:
        """One order of a conversation whose name begins with `thread_prefix`.

        Raises:
            OrderNotFoundError: the tenant has none of that id there.
        """
        order = await self._orders.get(tenant, order_id)
        if not order.thread.startswith(thread_prefix):
            raise OrderNotFoundError
        return order

    async def orders(
        self,
        tenant: TenantId,
        *,
        thread_prefix: str = "",
        thread: str | None,
        customer: str | None,
        status: OrderStatus | None,
        set_apart: bool,
        after: str,
        limit: int,
    ) -> OrderPage:
        """Orders of conversations whose names begin with `thread_prefix`, newest first."""
        return await self._orders.page(
            tenant,
            thread_prefix=thread_prefix,
            thread=thread,
            customer=customer,
            status=status,
            set_apart=set_apart,
            after=after,
            limit=limit,
        )

    async def retry_order(self, tenant: TenantId, order_id: str) -> Order:
        """Have an order that was set apart published after all.

        Raises:
            OrderNotFoundError: the tenant has none of that id.
            StillUnpublishableError: it cannot be, with this version.
        """
        try:
            order = await self._orders.retry(tenant, order_id)
        except OrderUnpublishableError as error:
            raise StillUnpublishableError from error
        log.info("order tried again", tenant=tenant, order_id=order_id)
        return order

    async def set_apart(self, tenant: TenantId, *, limit: int) -> list[ThreadApart]:
        """The conversations at which something failed, the newest failure first."""
        return await self._threads.apart.of_tenant(tenant, limit=limit)

    async def retry_thread(self, tenant: TenantId, thread: str) -> None:
        """Have a conversation that was set apart tried again: what failed is forgotten, and its next turn or pruning tells.

        Raises:
            ThreadNotFoundError: nothing of such a conversation is set apart.
        """
        if not await self._threads.apart.forget(ThreadName(tenant, thread)):
            raise ThreadNotFoundError("nothing of this conversation is set apart")

    async def confirm(
        self,
        tenant: TenantId,
        order_id: str,
        digest: str,
        *,
        thread_prefix: str = "",
        key: str = "",
        request_id: str = "",
    ) -> tuple[Order, TurnReply | None]:
        """Submit an order as it was shown. One that is submitted already is given back as it is, without a reply.

        Raises:
            OrderNotFoundError: the tenant has none of that id in a conversation whose name begins with `thread_prefix`.
            OrderChangedError: it is not what was shown; the person has to see it again.
        """
        order = await self.order(tenant, order_id, thread_prefix=thread_prefix)
        if order.status is OrderStatus.SUBMITTED:
            return order, None
        request = TurnRequest(
            tenant=tenant,
            thread=order.thread,
            key=key,
            customer=order.customer,
            confirm=OrderConfirmation(order_id=order_id, digest=digest),
        )
        reply = await self.turn(request, request_id=request_id)
        order = await self._orders.get(tenant, order_id)
        if order.status is not OrderStatus.SUBMITTED:
            raise OrderChangedError
        return order, reply

    async def _record(
        self, request: TurnRequest, reply: TurnReply, started_ns: int, request_id: str, headers: Mapping[str, str]
    ) -> None:
        """Keep the turn and count it. It has happened, and its state is in the checkpoint: the person gets the answer, whatever fails here."""
        try:
            await self._keep(request, reply, started_ns, request_id, headers)
        except RetryableError as error:
            log.error("turn not recorded", tenant=request.tenant, code=error.code)  # noqa: TRY400 - no defect of ours
        except Exception as error:
            if not concerns_one(error):
                raise
            log.exception("turn not recorded", tenant=request.tenant, turn=reply.turn)
            self._metrics.set_apart(RECORD, Reason.of(error).code)

    async def _keep(
        self, request: TurnRequest, reply: TurnReply, started_ns: int, request_id: str, headers: Mapping[str, str]
    ) -> None:
        finished_ns = SYSTEM_CLOCK.now_us() * 1000
        seconds = (finished_ns - started_ns) / 1e9
        self._metrics.turned(reply, seconds)
        self._spans.record(reply, started_ns=started_ns, finished_ns=finished_ns, headers=headers)
        trace = trace_of(reply, request_id=request_id, seconds=seconds)
        log.info("turn answered", tenant=request.tenant, characters=len(request.message), **log_fields(trace))
        turn = LoggedTurn(
            number=reply.turn,
            idempotency_key=request.key,
            request_digest=request_digest(request),
            message=request.message,
            reply=reply,
            trace=trace,
            started_us=started_ns // 1000,
            finished_us=finished_ns // 1000,
        )
        await self._turns.record(TenantId(request.tenant), request.thread, request.customer, turn)
