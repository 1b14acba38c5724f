"""What was said in each thread and how each turn went: for replays by idempotency key, for traces, for the person.

Messages live here and in the checkpoints, nowhere else: no log line and no span holds them, and both go when the
thread goes. Where a thread's state is lost, a conversation is made anew from the log and the order as it was last shown.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import Row, select, update

from agent.conversation.order import OrderStatus, kept
from agent.conversation.phrases import phrase
from agent.conversation.recovery import fresh_state
from agent.conversation.state import Draft, Message, Offer, ThreadState
from agent.conversation.thread_names import ThreadName
from agent.errors import OrderNotFoundError
from agent.orders.store import OrderStore
from agent.storage.database import Database
from agent.storage.tables import threads, turns
from agent.threads.registry import ThreadsApart
from runtime.clock import SYSTEM_CLOCK
from runtime.isolation import Reason
from schemas.api.chat import TurnMetadata, TurnReply
from schemas.identity import TenantId

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LoggedTurn:
    """One turn as it was. Times are microseconds since 1970; `trace` is what `agent.tracing` made of it."""

    number: int
    idempotency_key: str
    request_digest: str
    message: str
    reply: TurnReply
    trace: dict[str, Any]
    started_us: int
    finished_us: int


class TurnLog:
    """The turns of all tenants' threads."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_key(self, tenant: TenantId, thread: str, key: str) -> LoggedTurn | None:
        """The turn that was answered under this idempotency key."""
        wanted = turns.c.tenant == tenant, turns.c.thread == thread, turns.c.idempotency_key == key
        async with self._database.read() as connection:
            row = (await connection.execute(select(turns).where(*wanted))).one_or_none()
        return None if row is None else _turn(row)

    async def of_thread(self, tenant: TenantId, thread: str, *, newest: int | None = None) -> list[LoggedTurn]:
        """The turns of a thread, oldest first: all of them, or so many of the newest."""
        wanted = turns.c.tenant == tenant, turns.c.thread == thread
        backwards = select(turns).where(*wanted).order_by(turns.c.number.desc()).limit(newest)
        async with self._database.read() as connection:
            rows = (await connection.execute(backwards)).all()
        return [_turn(row) for row in reversed(rows)]

    async def record(self, tenant: TenantId, thread: str, customer: str, turn: LoggedTurn) -> None:
        """Keep a turn, and say that the thread is alive; a turn that is kept already stays as it is."""
        async with self._database.write(durable=False) as connection:
            kept = await connection.execute(
                self._database.insert(turns)
                .values(
                    tenant=tenant,
                    thread=thread,
                    number=turn.number,
                    idempotency_key=turn.idempotency_key or None,
                    request_digest=turn.request_digest,
                    message=turn.message,
                    reply=turn.reply.model_dump_json(),
                    trace=json.dumps(turn.trace, ensure_ascii=False),
                    started_us=turn.started_us,
                    finished_us=turn.finished_us,
                )
                .on_conflict_do_nothing()
            )
            if not kept.rowcount:
                return
            touched = {"turns": threads.c.turns + 1, "last_turn_us": SYSTEM_CLOCK.now_us()}
            await connection.execute(
                update(threads)
                .where(threads.c.tenant == tenant, threads.c.thread == thread)
                .values(**touched, **({"customer": customer} if customer else {}))
            )


def _turn(row: Row[Any]) -> LoggedTurn:
    return LoggedTurn(
        number=row.number,
        idempotency_key=row.idempotency_key or "",
        request_digest=row.request_digest,
        message=row.message,
        reply=_reply(row),
        trace=_trace(row),
        started_us=row.started_us,
        finished_us=row.finished_us,
    )


def _reply(row: Row[Any]) -> TurnReply:
    """The reply as it was; one that this version cannot read is still an answer, so that nothing is done a second time."""
    try:
        return TurnReply.model_validate_json(row.reply)
    except ValidationError as error:
        # Without the library's own words, which hold what was said.
        log.error("reply of the log cannot be read", tenant=row.tenant, turn=row.number, faults=error.error_count())  # noqa: TRY400
        return TurnReply(
            tenant=row.tenant,
            thread=row.thread,
            turn=row.number,
            text=phrase("es", "answered_before"),
            metadata=TurnMetadata(planner="none", stopped="unreadable"),
        )


def _trace(row: Row[Any]) -> dict[str, Any]:
    try:
        trace = json.loads(row.trace)
    except ValueError:
        return {}
    return trace if isinstance(trace, dict) else {}


class DatabaseThreadRecord:
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
    lines = [kept(line, reply.order.currency) for line in reply.order.lines]
    return Draft(order_id=reply.order.order_id, serial=serial, lines=lines)
