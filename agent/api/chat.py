"""`/v1/chat`: a message and its answer, as one document or as a stream of server-sent events; a conversation, and its deletion."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from agent.api.context import PROBLEMS, AgentContext, Caller, Context, client_address
from agent.conversation.thread_names import ThreadNames
from agent.conversation.turn import TurnRequest
from agent.threads.registry import ThreadApart
from runtime.http.problems import internal_problem, of_ferroflux, request_id
from schemas.api.chat import ChatRequest, Deleted, Tenant, ThreadSetApart, ThreadsSetApart, ThreadView, TurnReply
from schemas.api.limits import KEY_PATTERN, THREAD_PATTERN
from schemas.api.orders import RetryRequest
from schemas.documents import instant
from schemas.errors import FerrofluxError, InvalidRequestError
from schemas.identity import TenantId

EVENT_STREAM: Final = "text/event-stream"
_PAGE: Final = 50

_DESCRIPTION: Final = (
    "Answers one message of a conversation. With `Accept: text/event-stream` the same comes as server-sent events: "
    "`planner` and `tool` for the steps, then `reply` with the whole answer, or `problem`. With an `Idempotency-Key`, a "
    "message that is sent again gets the answer it had, and nothing is done twice; that holds without a thread, too."
)
_EVENTS: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {EVENT_STREAM: {"schema": {"type": "string"}}}}}

Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", pattern=KEY_PATTERN, description="The same for the same request."),
]
ThreadPath = Annotated[str, Path(pattern=THREAD_PATTERN)]

router = APIRouter(tags=["chat"], responses=PROBLEMS)


@router.post("/v1/chat", summary="One message", description=_DESCRIPTION, response_model=TurnReply, responses=_EVENTS)
async def post_chat(request: Request, body: ChatRequest, context: Context, key: Key = None) -> Response | TurnReply:
    """Answer one message."""
    caller = await context.caller(request, body.tenant)
    turn = _turn(request, body, key or "", caller, context.chat.names)
    if EVENT_STREAM not in request.headers.get("Accept", ""):
        reply = await context.chat.turn(turn, request_id=request_id(request), headers=request.headers)
        return caller.reply(reply)
    events = event_stream(request, _stream(request, turn, caller, context))
    # The first event is awaited before the answer begins: what is wrong with the request is still a proper problem.
    first = await anext(events)
    return StreamingResponse(_from_first(first, events), media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})


@router.get("/v1/chat", summary="Conversations that were set apart")
async def get_set_apart(
    request: Request,
    tenant: Annotated[Tenant, Query()],
    context: Context,
    limit: Annotated[int, Query(ge=1, le=200)] = _PAGE,
) -> ThreadsSetApart:
    """Those of the tenant's conversations at which something failed by a fault of ours, the newest failure first."""
    await context.caller(request, tenant)
    return _view(await context.chat.set_apart(TenantId(tenant), limit=limit))


@router.post("/v1/chat/{thread}/retry", summary="Try a conversation again that was set apart")
async def retry_thread(request: Request, thread: ThreadPath, body: RetryRequest, context: Context) -> ThreadsSetApart:
    """What failed is forgotten: the conversation's next message, or the next pruning, tells whether it is mended.

    The answer is what is set apart after it.
    """
    await context.caller(request, body.tenant)
    await context.chat.retry_thread(TenantId(body.tenant), thread)
    return _view(await context.chat.set_apart(TenantId(body.tenant), limit=_PAGE))


@router.get("/v1/chat/{thread}", summary="One conversation")
async def get_chat(
    request: Request, thread: ThreadPath, tenant: Annotated[Tenant, Query()], context: Context
) -> ThreadView:
    """The newest messages, the last answer, and where the conversation stands."""
    caller = await context.caller(request, tenant)
    return caller.view(await context.chat.view(caller.tenant, caller.thread_to_read(context.chat.names, thread)))


@router.get("/v1/chat/{thread}/trace", summary="How each turn went")
async def get_trace(
    request: Request, thread: ThreadPath, tenant: Annotated[Tenant, Query()], context: Context
) -> list[dict[str, object]]:
    """Per turn: planner, tool calls with arguments and outcomes, tokens, time by step."""
    caller = await context.caller(request, tenant)
    turns = await context.chat.traces(caller.tenant, caller.thread_to_read(context.chat.names, thread))
    return [{"message": turn.message, "reply": turn.reply.text, **turn.trace} for turn in turns]


@router.delete("/v1/chat/{thread}", summary="Delete a conversation", status_code=204)
async def delete_chat(
    request: Request, thread: ThreadPath, tenant: Annotated[Tenant, Query()], context: Context
) -> None:
    """Its messages, state and traces are gone; an unconfirmed order is withdrawn, a submitted one stays."""
    caller = await context.caller(request, tenant)
    await context.chat.delete(caller.tenant, caller.thread_to_read(context.chat.names, thread))


@router.delete("/v1/chat", summary="Delete a customer's conversations")
async def delete_customer(
    request: Request,
    tenant: Annotated[Tenant, Query()],
    customer: Annotated[str, Query(min_length=1, max_length=128)],
    context: Context,
) -> Deleted:
    """All conversations that named this customer; with a customer's token, that customer's own."""
    caller = await context.caller(request, tenant)
    _require_own_name(caller, customer)
    return Deleted(
        threads=await context.chat.delete_customer(caller.tenant, customer, thread_prefix=caller.thread_prefix)
    )


def _view(found: Sequence[ThreadApart]) -> ThreadsSetApart:
    return ThreadsSetApart(threads=tuple(map(_set_apart, found)))


def _set_apart(apart: ThreadApart) -> ThreadSetApart:
    return ThreadSetApart(
        thread=apart.thread,
        stage=apart.stage,
        reason=apart.reason,
        detail=apart.detail,
        times=apart.times,
        first_at=instant(apart.first_us),
        last_at=instant(apart.last_us),
    )


def _turn(request: Request, body: ChatRequest, key: str, caller: Caller, names: ThreadNames) -> TurnRequest:
    if body.customer:
        _require_own_name(caller, body.customer)
    return TurnRequest(
        tenant=body.tenant,
        thread=caller.thread_to_write(names, body.thread, key),
        message=body.message,
        locale=body.locale,
        key=key,
        customer=caller.customer or body.customer,
        confirm=body.confirm,
        spender=names.pseudonym(client_address(request)),
    )


def _require_own_name(caller: Caller, customer: str) -> None:
    if caller.customer and caller.customer != customer:
        raise InvalidRequestError("`customer` is not who the customer's token names; leave it out of the request")
    if not caller.customer and not caller.names_customers:
        raise InvalidRequestError(
            "who the customer is, a customer's token (X-Customer-Token) says here: send it, or leave `customer` out of the request"
        )


async def _stream(
    request: Request, turn: TurnRequest, caller: Caller, context: AgentContext
) -> AsyncIterator[tuple[str, str]]:
    async for happened in context.chat.stream(turn, request_id=request_id(request), headers=request.headers):
        event = caller.shown(happened)
        yield "reply" if isinstance(event, TurnReply) else event.kind, event.model_dump_json()


async def _from_first(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for event in rest:
        yield event


log = structlog.get_logger(__name__)

_ALIVE_S: Final = 10.0
_ALIVE: Final = b": still at it\n\n"


async def event_stream(request: Request, events: AsyncIterator[tuple[str, str]]) -> AsyncIterator[bytes]:
    """Frames of (name, JSON). A failure before the first event is raised; after it, it is an event `problem`.

    One task reads `events` from beginning to end, since a turn's time limit and its lease belong to one task. When the
    person goes away, it is cancelled, and the next message of the conversation finishes what it had begun.
    """
    queue: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()

    async def read() -> None:
        try:
            async for event in events:
                queue.put_nowait(event)
        finally:
            queue.put_nowait(None)

    reading = asyncio.create_task(read(), name="turn")
    begun = False
    try:
        while True:
            try:
                async with asyncio.timeout(_ALIVE_S):
                    event = await queue.get()
            except TimeoutError:
                begun = True
                yield _ALIVE
                continue
            if event is None:
                break
            begun = True
            yield frame(*event)
        await reading
    except FerrofluxError as error:
        if not begun:
            raise
        yield frame("problem", bytes((await of_ferroflux(request, error)).body).decode())
    except Exception:
        if not begun:
            raise
        log.exception("stream crashed")
        yield frame("problem", bytes(internal_problem(request).body).decode())
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def frame(name: str, data: str) -> bytes:
    """One event; JSON of one line needs no further escaping."""
    return f"event: {name}\ndata: {data}\n\n".encode()
