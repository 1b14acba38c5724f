"""Turns of conversations, whole: bounds at the door, one turn at a time in a thread, and turns that a crash cut off.

The state is the checkpointer's; this object holds none, so any number of processes serve one thread's turns in any order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import structlog
from langchain_core.runnables import RunnableConfig

from agent.checkpoints.thread_key import thread_key
from agent.conversation.limits import AgentLimits
from agent.conversation.state import ThreadState, TurnWork
from agent.conversation.turn import TurnEvent, TurnRequest
from agent.errors import EmptyMessageError, MessageTooLongError, ThreadFullError, ThreadNotFoundError
from agent.graph import PLAN, REPLY, TOOLS, TurnGraph
from agent.ports import Clock, ThreadGuard
from schemas.api.chat import ThreadView, TurnReply, TurnStep
from schemas.identity import TenantId, tenant_id

log = structlog.get_logger(__name__)

_STEPS_AROUND: Final = 6
"""Nodes of a turn beside planning and tools, with room."""


class LocalGuard:
    """`ThreadGuard` of a single process: one lock a thread, forgotten when nobody waits for it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, tenant: TenantId, thread: str) -> AsyncIterator[None]:
        """Wait for the thread's lock."""
        key = thread_key(tenant, thread)
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)


class AgentRuntime:
    """Answers turns over a compiled graph."""

    def __init__(
        self, graph: TurnGraph, *, clock: Clock, limits: AgentLimits | None = None, guard: ThreadGuard | None = None
    ) -> None:
        self._graph = graph
        self._clock = clock
        self._limits = limits or AgentLimits()
        self._guard = guard or LocalGuard()

    async def turn(self, request: TurnRequest) -> TurnReply:
        """Answer one message.

        A request whose key is that of the last turn gets that turn's reply again; a turn that was cut off is finished
        first, whoever sends what.

        Raises:
            InvalidRequestError: the message is empty or too long.
            ThreadFullError: the thread has had all its turns.
            RetryableError: a store did not answer. The same request, sent again, goes on where this one stopped.
        """
        reply = None
        async for event in self.stream(request):
            reply = event if isinstance(event, TurnReply) else reply
        assert reply is not None, "a turn ends with its reply"
        return reply

    async def stream(self, request: TurnRequest) -> AsyncIterator[TurnEvent]:
        """Answer one message as events: each step as it ends, the reply at last. Errors are those of `turn`."""
        tenant = tenant_id(request.tenant)
        self._check(request)
        config = self._config(tenant, request.thread)
        async with self._guard.hold(tenant, request.thread):
            state = await self._finished(config)
            last = state.get("last") if state else None
            if last is not None and request.key and last["key"] == request.key:
                yield TurnReply.model_validate(last["reply"])
                return
            if state is not None and state.get("turn", 0) >= self._limits.turns:
                raise ThreadFullError
            given = self._input(request)
            async for event in self._steps(given, config):
                yield event

    async def view(self, tenant: str, thread: str) -> ThreadView:
        """The conversation so far.

        Raises:
            ThreadNotFoundError: this tenant has no such thread.
        """
        config = self._config(tenant_id(tenant), thread)
        state = await self._state(config)
        if state is None:
            raise ThreadNotFoundError
        last = state.get("last")
        return ThreadView(
            tenant=tenant,
            thread=thread,
            turn=state.get("turn", 0),
            messages=tuple(dict(message) for message in state.get("messages", [])),
            last=TurnReply.model_validate(last["reply"]) if last else None,
        )

    def _check(self, request: TurnRequest) -> None:
        if len(request.message) > self._limits.message_characters:
            raise MessageTooLongError
        if not request.message.strip() and request.confirm is None:
            raise EmptyMessageError

    def _config(self, tenant: TenantId, thread: str) -> RunnableConfig:
        return RunnableConfig(
            configurable={"thread_id": thread_key(tenant, thread)},
            recursion_limit=2 * self._limits.steps + _STEPS_AROUND,
        )

    def _input(self, request: TurnRequest) -> dict[str, Any]:
        confirm = request.confirm
        work = TurnWork(
            message=request.message.strip(),
            key=request.key,
            locale=request.locale,
            confirm_order=confirm.order_id if confirm else "",
            confirm_digest=confirm.digest if confirm else "",
            step=0,
            hints=[],
            pending=[],
            results=[],
            uses=[],
            timings_ms={},
            bypassed=False,
            note="",
            reply="",
            started_us=self._clock.now_us(),
            stopped="",
        )
        given: dict[str, Any] = {"tenant": request.tenant, "thread": request.thread, "work": work}
        if request.customer:
            given["customer"] = request.customer
        return given

    async def _finished(self, config: RunnableConfig) -> ThreadState | None:
        """The thread's state, after a turn that was cut off has been brought to its end."""
        snapshot = await self._graph.aget_state(config)
        if snapshot.next:
            log.info("turn resumed", node=list(snapshot.next))
            await self._graph.ainvoke(None, config, durability="sync")
        return await self._state(config)

    async def _state(self, config: RunnableConfig) -> ThreadState | None:
        snapshot = await self._graph.aget_state(config)
        return cast("ThreadState", snapshot.values) if snapshot.values else None

    async def _steps(self, given: dict[str, Any], config: RunnableConfig) -> AsyncIterator[TurnEvent]:
        told = 0
        async for update in self._graph.astream(cast("Any", given), config, stream_mode="updates", durability="sync"):
            for node, changed in cast("dict[str, dict[str, Any]]", update).items():
                if node == PLAN:
                    use = changed["work"]["uses"][-1]
                    yield TurnStep(kind="planner", name=use["planner"], milliseconds=use["milliseconds"])
                elif node == TOOLS:
                    results = changed["work"]["results"]
                    for result in results[told:]:
                        yield TurnStep(
                            kind="tool", name=result["name"], ok=result["ok"], milliseconds=result["milliseconds"]
                        )
                    told = len(results)
                elif node == REPLY:
                    yield TurnReply.model_validate(changed["last"]["reply"])
