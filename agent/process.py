"""The running state behind the HTTP face: its parts are opened until they open, so the process may start before them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import structlog

from agent.chat import ChatService
from agent.checkpoints.port import Checkpoints
from agent.orders.outbox import Backlog, Outbox
from agent.storage.database import Database
from agent.threads.registry import ThreadsApart
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.retry import BackoffPolicy
from runtime.supervision import Supervisor
from schemas.errors import NotReadyError, RetryableError

log = structlog.get_logger(__name__)

_OPENING_BACKOFF: Final = BackoffPolicy(base_s=0.5, cap_s=5.0)


@dataclass(frozen=True, slots=True)
class AgentParts:
    """What a process holds once it is open."""

    chat: ChatService
    database: Database
    checkpoints: Checkpoints
    outbox: Outbox
    defect: Callable[[], str] = str
    """Why no turn is answered any more, as a sentence; empty while turns are."""


Opening = Callable[[AsyncExitStack], Awaitable[AgentParts]]


class AgentProcess:
    """Started and stopped by the application's lifespan. `open_parts` puts what it opens on the stack it is given.

    The background tasks that it starts run under `supervisor`, whose failure is to end the process.
    """

    def __init__(
        self, open_parts: Opening, *, backlog_s: float, supervisor: Supervisor, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._open_parts = open_parts
        self._backlog_s = backlog_s
        self._stack = AsyncExitStack()
        self._parts: AgentParts | None = None
        self._clock = clock
        self.supervisor = supervisor

    async def start(self) -> None:
        """Begin to open the parts; returns at once."""
        self.supervisor.start("open-agent", self._open, ends=True, backoff=_OPENING_BACKOFF)

    async def stop(self) -> None:
        """Stop what runs and close what is open."""
        await self.supervisor.stop()
        await self._stack.aclose()

    @property
    def chat(self) -> ChatService:
        """The chat.

        Raises:
            NotReadyError: the parts are not open.
        """
        if self._parts is None:
            raise NotReadyError(f"the agent is not ready: {self._not_open()}")
        return self._parts.chat

    async def waiting_for(self) -> str:
        """What keeps the process from serving, as a sentence; empty where nothing does."""
        if self._parts is None:
            return self._not_open()
        try:
            await self._parts.database.ping()
            await self._parts.checkpoints.ping()
        except RetryableError as error:
            return str(error)
        return "; ".join(filter(None, [self._parts.defect(), *self.supervisor.waiting.values()]))

    @property
    def degraded(self) -> dict[str, str]:
        """What is wrong though turns are answered, by background task, as a sentence."""
        return self.supervisor.degraded

    async def threads_apart(self) -> int | None:
        """How many conversations are set apart; None while that cannot be told."""
        if self._parts is None:
            return None
        try:
            return await ThreadsApart(self._parts.database).count()
        except RetryableError:
            return None

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
        return backlog.oldest_us is not None and self._clock.now_us() - backlog.oldest_us > self._backlog_s * 1_000_000

    def _not_open(self) -> str:
        return "; ".join(self.supervisor.waiting.values()) or "the stores have not answered yet"

    async def _open(self) -> None:
        async with AsyncExitStack() as stack:
            self._parts = await self._open_parts(stack)
            self._stack = stack.pop_all()
        log.info("agent ready")
