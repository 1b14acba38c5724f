"""The round that keeps the stores from growing: expired threads go, the steps of finished turns go."""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from agent.checkpoints.settings import CheckpointSettings
from agent.threads.registry import ThreadRegistry
from runtime.backoff import BackoffPolicy

log = structlog.get_logger(__name__)

PRUNING_BACKOFF: Final = BackoffPolicy(base_s=1.0, cap_s=60.0)
"""How a pruner that ended by an error is started again."""
_BATCH: Final = 50
_DAY_US: Final = 86_400_000_000


class ThreadPruner:
    """Runs beside the API. Several processes may prune at once: each thread is pruned under its lease. `run` is its whole life."""

    def __init__(self, registry: ThreadRegistry, settings: CheckpointSettings) -> None:
        self._registry = registry
        self._settings = settings

    async def run(self) -> None:
        """Prune round after round until cancelled; a round that is under way then is finished by the next.

        Raises:
            RetryableError: as `prune_once`; it is to be started again.
        """
        while True:
            deleted, trimmed = await self.prune_once()
            if deleted or trimmed:
                log.info("threads pruned", deleted=deleted, trimmed=trimmed)
            await asyncio.sleep(self._settings.prune_every_s)

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
