"""A conversation made anew from what is kept beside its state: what was said, and the order as it was last shown."""

from __future__ import annotations

from collections.abc import Callable

from agent.checkpoints.thread_key import ThreadName
from agent.conversation.cards import plain
from agent.conversation.closing import fresh_state
from agent.conversation.state import Draft, DraftLine, Message, Offer, ThreadState
from agent.orders.errors import OrderNotFoundError
from agent.orders.model import OrderStatus
from agent.orders.store import OrderStore
from agent.threads.apart import ThreadsApart
from agent.threads.log import TurnLog
from runtime.clock import SYSTEM_CLOCK
from runtime.isolation import Reason
from schemas.api.chat import TurnReply
from schemas.identity import TenantId


class KeptThreads:
    """The port `ThreadRecord` over the database. `counted` is told the stage and the reason of what is set apart."""

    def __init__(
        self,
        turns: TurnLog,
        orders: OrderStore,
        apart: ThreadsApart,
        counted: Callable[[str, str], None],
        *,
        kept_messages: int,
    ) -> None:
        self._turns = turns
        self._orders = orders
        self._apart = apart
        self._counted = counted
        self._kept = kept_messages

    async def set_apart(self, tenant: TenantId, thread: str, stage: str, reason: Reason) -> None:
        """Keep and count it."""
        await self._apart.note(ThreadName(tenant, thread), stage, reason)
        self._counted(stage, reason.code)

    async def recall(self, tenant: TenantId, thread: str) -> ThreadState | None:
        """The newest turns of the log, and the order that the last of them showed, if nobody submitted it since."""
        turns = await self._turns.of_thread(tenant, thread, newest=self._kept)
        if not turns:
            return None
        last = turns[-1].reply
        # A serial that no order of this thread had, whatever became of the orders after the one that was shown.
        state = fresh_state(tenant, thread, serial=SYSTEM_CLOCK.now_us())
        state["turn"] = turns[-1].number
        state["language"] = "en" if last.language == "en" else "pt" if last.language == "pt" else "es"
        state["submitted"] = list(last.submitted)
        said = [_messages(turn.number, turn.message, turn.reply) for turn in turns]
        state["messages"] = [message for each in said for message in each][-self._kept :]
        if await self._is_open(tenant, last.order.order_id):
            state["draft"] = _draft(last, serial=state["draft"]["serial"])
            state["offer"] = Offer(order_id=last.order.order_id, digest=last.order.digest, turn=turns[-1].number)
        return state

    async def _is_open(self, tenant: TenantId, order_id: str) -> bool:
        """Whether an order was shown and is neither submitted nor withdrawn: only then may it go on under its id."""
        if not order_id:
            return False
        try:
            order = await self._orders.get(tenant, order_id)
        except OrderNotFoundError:
            return False
        return order.status is OrderStatus.OFFERED


def _messages(turn: int, message: str, reply: TurnReply) -> list[Message]:
    said = [Message(role="user", text=message, turn=turn)] if message else []
    return [*said, Message(role="agent", text=reply.text, turn=turn)]


def _draft(reply: TurnReply, *, serial: int) -> Draft:
    lines = [
        DraftLine(
            sku=line.sku,
            title=line.title,
            quantity=plain(line.quantity),
            unit=line.unit,
            pack=line.pack,
            price_shown=None if line.price is None else plain(line.price),
            currency=reply.order.currency,
        )
        for line in reply.order.lines
    ]
    return Draft(order_id=reply.order.order_id, serial=serial, lines=lines)
