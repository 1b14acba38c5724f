"""The round that keeps the stores from growing: expired threads go, the steps of finished turns go."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from agent.checkpoints.settings import CheckpointSettings
from agent.threads.registry import ThreadRegistry
from schemas.errors import RetryableError

log = structlog.get_logger(__name__)

_BATCH: Final = 50
_DAY_US: Final = 86_400_000_000


class ThreadPruner:
    """Runs beside the API. Several processes may prune at once: each thread is pruned under its lease."""

    def __init__(self, registry: ThreadRegistry, settings: CheckpointSettings) -> None:
        self._registry = registry
        self._settings = settings
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin in the background of the running event loop."""
        self._task = asyncio.create_task(self._run(), name="thread-pruner")

    async def stop(self) -> None:
        """End; a round that is under way is finished by the next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def prune_once(self) -> tuple[int, int]:
        """One round: how many threads were deleted, and how many trimmed.

        Raises:
            RetryableError: a store did not answer, or a thread stayed busy; the rest waits for the next round.
        """
        before = time.time_ns() // 1000 - int(self._settings.expire_days * _DAY_US)
        deleted = trimmed = 0
        while expired := await self._registry.idle_since(before, limit=_BATCH):
            await self._registry.delete(expired)
            deleted += len(expired)
        while untrimmed := await self._registry.untrimmed(limit=_BATCH):
            await self._registry.trim(untrimmed)
            trimmed += len(untrimmed)
        return deleted, trimmed

    async def _run(self) -> None:
        while True:
            try:
                deleted, trimmed = await self.prune_once()
            except RetryableError as error:
                log.warning("threads not pruned", code=error.code)
            else:
                if deleted or trimmed:
                    log.info("threads pruned", deleted=deleted, trimmed=trimmed)
            await asyncio.sleep(self._settings.prune_every_s)
