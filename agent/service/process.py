"""The running state behind the HTTP face: its parts are opened until they open, so the process may start before them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import structlog

from agent.checkpoints.port import Checkpoints
from agent.orders.outbox import Backlog, Outbox
from agent.service.chat import ChatService
from agent.storage.database import Database
from schemas.errors import FatalError, NotReadyError, RetryableError

log = structlog.get_logger(__name__)

_RETRY_S: Final = 0.5
_LONGEST_RETRY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class AgentParts:
    """What a process holds once it is open."""

    chat: ChatService
    database: Database
    checkpoints: Checkpoints
    outbox: Outbox


Opening = Callable[[AsyncExitStack], Awaitable[AgentParts]]


class AgentProcess:
    """Started and stopped by the application's lifespan. `open_parts` puts what it opens on the stack it is given."""

    def __init__(self, open_parts: Opening, *, backlog_s: float) -> None:
        self._open_parts = open_parts
        self._backlog_s = backlog_s
        self._stack = AsyncExitStack()
        self._parts: AgentParts | None = None
        self._waiting_for = "the stores have not answered yet"
        self._opening: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to open the parts; returns at once."""
        self._opening = asyncio.create_task(self._open(), name="open-agent")

    async def stop(self) -> None:
        """Stop what runs and close what is open."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        await self._stack.aclose()

    @property
    def chat(self) -> ChatService:
        """The chat.

        Raises:
            NotReadyError: the parts are not open.
        """
        if self._parts is None:
            raise NotReadyError(f"the agent is not ready: {self._waiting_for}")
        return self._parts.chat

    async def waiting_for(self) -> str:
        """What keeps the process from serving, as a sentence; empty where nothing does."""
        if self._parts is None:
            return self._waiting_for
        try:
            await self._parts.database.ping()
            await self._parts.checkpoints.ping()
        except RetryableError as error:
            return str(error)
        return ""

    async def backlog(self) -> Backlog | None:
        """What the outbox holds; None while that cannot be told."""
        if self._parts is None:
            return None
        try:
            return await self._parts.outbox.backlog()
        except RetryableError:
            return None

    def is_late(self, backlog: Backlog) -> bool:
        """Whether the oldest order waits longer for the log than it should."""
        return (
            backlog.oldest_us is not None and time.time_ns() // 1000 - backlog.oldest_us > self._backlog_s * 1_000_000
        )

    async def _open(self) -> None:
        pause = _RETRY_S
        while True:
            try:
                async with AsyncExitStack() as stack:
                    self._parts = await self._open_parts(stack)
                    self._stack = stack.pop_all()
            except RetryableError as error:
                self._waiting_for = str(error)
                log.warning("agent waits", code=error.code, error=str(error))
            except FatalError as error:
                # The process stays up and says what is wrong, where whoever looks at readiness finds it.
                self._waiting_for = str(error)
                log.error("agent cannot start", code=error.code, error=str(error))  # noqa: TRY400 - the sentence is the remedy
                return
            except Exception:
                self._waiting_for = "a part failed that should not; the log has its traceback"
                log.exception("agent cannot start")
                return
            else:
                log.info("agent ready")
                return
            await asyncio.sleep(pause)
            pause = min(_LONGEST_RETRY_S, pause * 1.5)
