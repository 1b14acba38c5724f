"""From a submitted order to the record that the log gets, and that record once more where it has to be shorter."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from agent.conversation.order import Order
from agent.conversation.products import LONGEST_PACK, LONGEST_TITLE, LONGEST_UNIT, bounded
from schemas.documents import instant
from schemas.errors import RecordTooLargeError
from schemas.records.orders import OrderLine, SubmittedLine, SubmittedOrder

_SHORTER_TITLES: Final = (LONGEST_TITLE, 80, 1)
"""Characters of a title, in the order in which they are tried: the SKU says which product it is."""


class UnreadableOrderError(ValueError):
    """The record of an order is none, so that no consumer could read it: a defect of the release that wrote it."""


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
        lines=tuple(map(_submitted, order.lines)),
        total=order.total,
        unpriced=order.unpriced,
        submitted_at=submitted_at,
    )


def _submitted(line: OrderLine) -> SubmittedLine:
    texts = {
        "title": bounded(line.title, LONGEST_TITLE),
        "unit": bounded(line.unit, LONGEST_UNIT),
        "pack": bounded(line.pack, LONGEST_PACK),
    }
    return SubmittedLine.model_validate({**dict(line), **texts})


def fitting(payload: bytes, identity: str, largest: int) -> bytes:
    """A record as it is, or with shorter titles where it has more than `largest` bytes; `identity` is its event id.

    Orders are bounded when lines are added: this is for those that an older release took, and for a topic that takes
    less than it did.

    Raises:
        UnreadableOrderError: it is not the record of that order.
        RecordTooLargeError: it is too large without its titles, too.
    """
    try:
        order = SubmittedOrder.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        # Without pydantic's own words, which hold what the order holds.
        raise UnreadableOrderError(f"the record is not an order: {place}: {first['type']}") from None
    if order.event_id != identity:
        raise UnreadableOrderError("the record is that of another order")
    if len(payload) <= largest:
        return payload
    for longest in _SHORTER_TITLES:
        lines = tuple(line.model_copy(update={"title": bounded(line.title, longest)}) for line in order.lines)
        shorter = order.model_copy(update={"lines": lines}).model_dump_json().encode()
        if len(shorter) <= largest:
            return shorter
    raise RecordTooLargeError(
        f"the order of {len(order.lines)} lines has {len(shorter)} bytes with its titles cut off, and the orders topic "
        f"takes {largest}: raise the topic's max.message.bytes, then `ferroflux orders retry`"
    )
