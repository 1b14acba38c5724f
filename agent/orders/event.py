"""From a submitted order to the record that the log gets."""

from __future__ import annotations

from agent.orders.model import Order
from schemas.api.times import instant
from schemas.orders import SubmittedLine, SubmittedOrder


def event_id(tenant: str, order_id: str) -> str:
    """What every copy of one order's record carries, and nobody else's does."""
    return f"{tenant}/{order_id}"


def submitted_event(order: Order) -> SubmittedOrder:
    """The record of one submitted order."""
    assert order.submitted_us is not None
    submitted_at = instant(order.submitted_us)
    assert submitted_at is not None
    return SubmittedOrder(
        event_id=event_id(order.tenant, order.order_id),
        tenant=order.tenant,
        order_id=order.order_id,
        thread=order.thread,
        customer=order.customer,
        currency=order.currency,
        lines=tuple(
            SubmittedLine(
                position=position,
                sku=line.sku,
                title=line.title,
                quantity=line.quantity,
                unit=line.unit,
                pack=line.pack,
                price=line.price,
                amount=line.amount,
            )
            for position, line in enumerate(order.lines, start=1)
        ),
        total=order.total,
        unpriced=order.unpriced,
        submitted_at=submitted_at,
    )
