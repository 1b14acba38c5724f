"""Turns of conversations, whole: bounds at the door, one turn at a time in a thread, and turns that a crash cut off.

The state is the checkpointer's; this object holds none, so any number of processes serve one thread's turns in any order.

No turn is tried for ever, and no state bricks its thread:

    a turn fails ──┬─ a store or the search is away ──────▶ raised; the next message goes on from the newest checkpoint
                   ├─ a dependency, in a way nobody knows ▶ raised, and tried once more by the next message, then closed
                   └─ a step of ours ─────────────────────▶ closed: an apology, the open order kept, the reason set apart
    a state cannot be read ───────────────────────────────▶ made anew from what was said and shown
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START

from agent.conversation.limits import AgentLimits
from agent.conversation.recovery import ClosedMessage, closed_turn, fresh_state, last_reply
from agent.conversation.state import ThreadState, TurnWork
from agent.conversation.thread_names import ThreadName
from agent.conversation.turn import TurnEvent, TurnRequest, last_answer
from agent.errors import (
    EmptyMessageError,
    MessageTooLongError,
    ThreadFullError,
    ThreadNotFoundError,
    UnfinishedTurnError,
)
from agent.language.detection import Language, language_of
from agent.ports import ThreadGuard, ThreadRecord
from agent.turns.failures import is_ours
from agent.turns.graph import BEGIN, PLAN, REPLY, TOOLS, TurnGraph
from retrieval.analysis.folding import is_within
from runtime.clock import Clock
from runtime.isolation import Batch, DefectError, Isolation, concerns_one
from schemas.api.chat import ThreadView, TurnReply, TurnStep
from schemas.errors import InvalidRequestError
from schemas.identity import tenant_id

log = structlog.get_logger(__name__)

TURN: Final = "turn"
STATE: Final = "thread state"
"""Stages at which something of a thread is set apart."""

_STEPS_AROUND: Final = 6
"""Nodes of a turn beside planning and tools, with room."""


@dataclass(frozen=True, slots=True)
class LoadedThread:
    """A thread as a turn finds it; `apology` is what the person has to hear first: a key of the phrases."""

    state: ThreadState | None
    apology: str = ""


class AgentRuntime:
    """Answers turns over a compiled graph."""

    def __init__(
        self,
        graph: TurnGraph,
        *,
        clock: Clock,
        guard: ThreadGuard,
        record: ThreadRecord,
        limits: AgentLimits | None = None,
        resume_s: float = 30.0,
        store_failures: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`resume_s`: how long a turn that was cut off may take to its end, before it is closed.

        `store_failures` turns the failures of the checkpointer's driver into ours.
        """
        self._store_failures = store_failures
        self._graph = graph
        self._clock = clock
        self._limits = limits or AgentLimits()
        self._guard = guard
        self._record = record
        self._resume_s = resume_s
        self._isolation = Isolation(TURN)
        self.defect = ""
        """Why turns are not closed any more: too many failed in a row. Empty again as soon as one passes."""

    async def turn(self, request: TurnRequest) -> TurnReply:
        """Answer one message.

        A request whose key is that of the last turn gets that turn's reply again; a turn that was cut off is finished
        first, whoever sends what.

        Raises:
            InvalidRequestError: the message is empty or too long.
            ReusedKeyError: the key is that of the last turn, which was of another message.
            ThreadFullError: the thread has had all its turns.
            RetryableError: a store did not answer. The same request, sent again, goes on where this one stopped.
            DefectError: too many turns failed in a row by a defect of ours.
        """
        reply = None
        async for event in self.stream(request):
            reply = event if isinstance(event, TurnReply) else reply
        assert reply is not None, "a turn ends with its reply"
        return reply

    async def stream(self, request: TurnRequest) -> AsyncIterator[TurnEvent]:
        """Answer one message as events: each step as it ends, the reply at last. Errors are those of `turn`."""
        name = ThreadName(tenant_id(request.tenant), request.thread)
        self._check(request)
        async with self._guard.hold(name.tenant, name.thread):
            found = await self._found(name)
            if before := last_answer(found.state or {}, request):
                yield before
                return
            if found.state is not None and found.state.get("turn", 0) >= self._limits.turns:
                raise ThreadFullError
            events = self._steps(self._input(request, found.apology), self._config(name))
            try:
                with self._store_failures():
                    async for event in events:
                        yield event
            except Exception as error:
                if not concerns_one(error) or not is_ours(error):
                    raise
                yield await self._closed(name, error, request)
                return
            self._isolation.passed()
            self.defect = ""

    async def view(self, tenant: str, thread: str) -> ThreadView:
        """The conversation so far.

        Raises:
            ThreadNotFoundError: this tenant has no such thread.
        """
        state = await self._readable(ThreadName(tenant_id(tenant), thread))
        if state is None:
            raise ThreadNotFoundError
        last = last_reply(state)
        return ThreadView(
            tenant=tenant,
            thread=thread,
            turn=state.get("turn", 0),
            messages=tuple(dict(message) for message in state.get("messages", [])),
            last=last[1] if last else None,
        )

    def _check(self, request: TurnRequest) -> None:
        # A character may stand for several words: what is read of a message is its folded text.
        if not is_within(request.message, self._limits.message_characters):
            raise MessageTooLongError
        if not request.message.strip() and request.confirm is None:
            raise EmptyMessageError
        for text in (request.message, request.customer, request.key):
            if not text.isascii() and text != text.encode("utf-8", "replace").decode():
                raise InvalidRequestError("the message holds half a character, which no text has")

    def _config(self, name: ThreadName) -> RunnableConfig:
        return RunnableConfig(
            configurable={"thread_id": name.key},
            recursion_limit=2 * self._limits.steps + _STEPS_AROUND,
        )

    def _input(self, request: TurnRequest, apology: str) -> dict[str, Any]:
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
            apology=apology,
            spender=request.spender,
        )
        given: dict[str, Any] = {"tenant": request.tenant, "thread": request.thread, "work": work}
        if request.customer:
            given["customer"] = request.customer
        return given

    async def _found(self, name: ThreadName) -> LoadedThread:
        """The thread's state, after a turn that was cut off has been brought to its end, or closed."""
        config = self._config(name)
        try:
            with self._store_failures():
                snapshot = await self._graph.aget_state(config)
        except Exception as error:
            if not concerns_one(error):
                raise
            return LoadedThread(await self._made_anew(name, error), "state_lost")
        if not snapshot.next:
            return LoadedThread(cast("ThreadState", snapshot.values) if snapshot.values else None)
        log.info("turn resumed", node=list(snapshot.next))
        try:
            await self._resume(config)
        except Exception as error:
            if not concerns_one(error):
                raise
            await self._closed(name, error)
            return LoadedThread(await self._state(config), "turn_lost")
        return LoadedThread(await self._state(config))

    async def _resume(self, config: RunnableConfig) -> None:
        """Bring a turn that was cut off to its end.

        Raises:
            UnfinishedTurnError: it took too long.
        """
        limit = asyncio.timeout(self._resume_s)
        try:
            with self._store_failures():
                async with limit:
                    await self._graph.ainvoke(None, config, durability="sync")
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise UnfinishedTurnError from error

    async def _closed(self, name: ThreadName, error: Exception, request: TurnRequest | None = None) -> TurnReply:
        """End the turn in progress with an apology, and keep why; `request` is the one that began it, where it is at hand."""
        await self._set_apart(name, TURN, error)
        config = self._config(name)
        try:
            with self._store_failures():
                snapshot = await self._graph.aget_state(config)
                # Before anything of this request was kept, what is there is the turn before.
                begun = request is None or bool(snapshot.next)
                said = _said(snapshot.values, request, counted=begun and not {START, BEGIN} & set(snapshot.next))
                fresh = self._fresh(name, request)
                ended = closed_turn(snapshot.values, said, fresh, kept_messages=self._limits.kept_messages)
                await self._graph.aupdate_state(config, cast("dict[str, Any]", ended), as_node=REPLY)
        except Exception as worse:
            if not concerns_one(worse):
                raise
            ended = await self._made_anew(name, worse, said=_said({}, request, counted=False))
        last = last_reply(ended)
        assert last is not None, "a closed turn ends with its reply"
        return last[1]

    async def _made_anew(self, name: ThreadName, error: Exception, *, said: ClosedMessage | None = None) -> ThreadState:
        """Put a state that cannot be read away, and one in its name that is made of what was said and shown."""
        await self._set_apart(name, STATE, error)
        state = await self._recalled(name)
        if said is not None:
            state = closed_turn(state, said, self._fresh(name, None), kept_messages=self._limits.kept_messages)
        config = self._config(name)
        saver = self._graph.checkpointer
        assert saver is not None
        assert not isinstance(saver, bool)
        with self._store_failures():
            await saver.adelete_thread(name.key)
            await self._graph.aupdate_state(config, cast("dict[str, Any]", state), as_node=REPLY)
        return state

    async def _recalled(self, name: ThreadName) -> ThreadState:
        return await self._record.recall(name.tenant, name.thread) or self._fresh(name, None)

    async def _readable(self, name: ThreadName) -> ThreadState | None:
        """The thread as it can be shown: its state, or what is kept beside one that cannot be read."""
        try:
            with self._store_failures():
                return await self._state(self._config(name))
        except Exception as error:
            if not concerns_one(error):
                raise
            log.warning("thread state cannot be read", tenant=name.tenant, error=type(error).__name__)
            return await self._recalled(name)

    async def _set_apart(self, name: ThreadName, stage: str, error: Exception) -> None:
        """Keep why a thread was set apart.

        Raises:
            DefectError: too many turns failed in a row; nothing is kept, and the turn stays as it is.
        """
        batch: Batch[ThreadName] = self._isolation.batch(1)
        try:
            batch.note(name, error, name=f"{stage} of {name.key}")
        except DefectError as defect:
            self.defect = str(defect)
            raise
        await self._record.set_apart(name.tenant, name.thread, stage, batch.set_apart[0].reason)

    def _fresh(self, name: ThreadName, request: TurnRequest | None) -> ThreadState:
        return fresh_state(name.tenant, name.thread, serial=self._clock.now_us(), language=_language(request))

    async def _state(self, config: RunnableConfig) -> ThreadState | None:
        snapshot = await self._graph.aget_state(config)
        return cast("ThreadState", snapshot.values) if snapshot.values else None

    async def _steps(self, given: dict[str, Any], config: RunnableConfig) -> AsyncIterator[TurnEvent]:
        told = 0
        reply: TurnReply | None = None
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
                    reply = TurnReply.model_validate(changed["last"]["reply"])
        if reply is not None:
            # Not before the state that holds it is kept, or a failure there would be a second reply.
            yield reply


def _said(stored: dict[str, Any], request: TurnRequest | None, *, counted: bool) -> ClosedMessage:
    """What the turn that is closed was about: as its request says, or as the state does where that came before."""
    if request is not None:
        return ClosedMessage(request.message.strip(), request.key, counted)
    work = stored.get("work")
    message, key = (work.get("message"), work.get("key")) if isinstance(work, dict) else ("", "")
    return ClosedMessage(message if isinstance(message, str) else "", key if isinstance(key, str) else "", counted)


def _language(request: TurnRequest | None) -> Language:
    """The language of a message where no state has one; telling it may be what failed."""
    if request is None:
        return "es"
    try:
        return language_of(request.message, locale=request.locale, before="es")
    except Exception:
        log.exception("language not told")
        return "es"
