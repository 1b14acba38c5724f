"""`/v1/orders`: a tenant's orders, one of them, and its confirmation."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request

from agent.api.context import PROBLEMS, Caller, Context
from agent.conversation.order import Order, OrderStatus, order_id
from runtime.http.problems import request_id
from schemas.api.chat import Tenant
from schemas.api.limits import KEY_PATTERN
from schemas.api.orders import (
    Confirmed,
    ConfirmRequest,
    OrderList,
    OrderSetApart,
    OrderView,
    RetryRequest,
)
from schemas.documents import instant

router = APIRouter(tags=["orders"], responses=PROBLEMS)

OrderPath = Annotated[str, Path(min_length=8, max_length=64)]


@router.get("/v1/orders", summary="Orders, newest first")
async def get_orders(
    request: Request,
    tenant: Annotated[Tenant, Query()],
    context: Context,
    thread: Annotated[str | None, Query(max_length=64)] = None,
    customer: Annotated[str | None, Query(max_length=128)] = None,
    status: OrderStatus | None = None,
    set_apart: Annotated[bool, Query(description="Only those that the log will never take as they are.")] = False,
    after: Annotated[str, Query(max_length=64)] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> OrderList:
    """The tenant's orders, of one conversation, customer or status where asked for; with a customer's token, that customer's own."""
    caller = await context.caller(request, tenant)
    page = await context.chat.orders(
        caller.tenant,
        thread_prefix=caller.thread_prefix,
        thread=caller.thread_to_read(context.chat.names, thread) if thread and caller.customer else thread,
        customer=customer,
        status=status,
        set_apart=set_apart,
        after=after,
        limit=limit,
    )
    return OrderList(orders=tuple(order_view(order, caller) for order in page.orders), next=page.cursor)


@router.get("/v1/orders/{order}", summary="One order")
async def get_order(
    request: Request, order: OrderPath, tenant: Annotated[Tenant, Query()], context: Context
) -> OrderView:
    """The order with its lines."""
    caller = await context.caller(request, tenant)
    return order_view(
        await context.chat.order(caller.tenant, order_id(order), thread_prefix=caller.thread_prefix), caller
    )


@router.post("/v1/orders/{order}/confirm", summary="Confirm an order")
async def confirm_order(
    request: Request,
    order: OrderPath,
    body: ConfirmRequest,
    context: Context,
    key: Annotated[str | None, Header(alias="Idempotency-Key", pattern=KEY_PATTERN)] = None,
) -> Confirmed:
    """Submit the order as it was shown: once, however often this is called.

    Where a price or a line has changed since, 409 says so and nothing is submitted; the conversation shows the order anew.
    """
    caller = await context.caller(request, body.tenant)
    confirmed, reply = await context.chat.confirm(
        caller.tenant,
        order_id(order),
        body.digest,
        thread_prefix=caller.thread_prefix,
        key=key or "",
        request_id=request_id(request),
    )
    return Confirmed(
        order=order_view(confirmed, caller),
        first=reply is not None,
        reply=None if reply is None else caller.reply(reply),
    )


@router.post("/v1/orders/{order}/retry", summary="Try an order again that was set apart")
async def retry_order(request: Request, order: OrderPath, body: RetryRequest, context: Context) -> OrderView:
    """Have the log get it after all: its record is made anew. Any other order stays as it is."""
    caller = await context.caller(request, body.tenant)
    return order_view(await context.chat.retry_order(caller.tenant, order_id(order)), caller)


def order_view(order: Order, caller: Caller) -> OrderView:
    """The order on the wire."""
    return OrderView(
        order_id=order.order_id,
        tenant=order.tenant,
        thread=caller.name_of(order.thread),
        customer=order.customer,
        status=order.status.value,
        digest=order.digest,
        currency=order.currency,
        lines=order.lines,
        total=order.total,
        unpriced=order.unpriced,
        created_at=instant(order.created_us),
        submitted_at=instant(order.submitted_us or 0),
        published_at=instant(order.published_us or 0),
        set_apart=None
        if order.apart is None
        else OrderSetApart(reason=order.apart.reason, detail=order.apart.detail, since=instant(order.apart.since_us)),
    )
