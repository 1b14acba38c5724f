"""The round that keeps the stores from growing: expired threads go, the steps of finished turns go.

One thread at which that fails is set apart, left alone for a while, and stands in no other's way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final

import structlog

from agent.conversation.thread_names import ThreadName
from agent.settings import CheckpointSettings
from agent.threads.leases import ThreadBusyError
from agent.threads.registry import PRUNING, ThreadRegistry
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.isolation import Batch, Isolation
from runtime.retry import BackoffPolicy
from schemas.errors import RetryableError

log = structlog.get_logger(__name__)

PRUNING_BACKOFF: Final = BackoffPolicy(base_s=1.0, cap_s=60.0)
"""How a pruner that ended by an error is started again."""
_BATCH: Final = 50
_DAY_US: Final = 86_400_000_000
_APART_US: Final = 3_600_000_000
"""An hour: a defect is gone with the next version at the earliest."""
_POSTPONED_S: Final = 300.0
"""Rest of a thread that was busy, or at which a store did not answer: the next rounds begin with others."""
_MOST_POSTPONED: Final = 1_000

Chosen = Callable[[Collection[ThreadName]], Awaitable[list[ThreadName]]]


class ThreadPruner:
    """Runs beside the API. Several processes may prune at once: each thread is pruned under its lease. `run` is its whole life."""

    def __init__(
        self,
        registry: ThreadRegistry,
        settings: CheckpointSettings,
        *,
        counted: Callable[[str, str], None] = lambda _stage, _reason: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`counted` is told the stage and the reason of each thread that is set apart."""
        self._registry = registry
        self._settings = settings
        self._counted = counted
        self._clock = clock
        self._isolation = Isolation(PRUNING)
        self._postponed: dict[ThreadName, float] = {}

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
            RetryableError: a store did not answer; the thread rests, and the others wait for the next round.
            DefectError: too many threads failed by a defect of ours.
        """
        before = self._clock.now_us() - int(self._settings.expire_days * _DAY_US)

        async def expired(passed_over: Collection[ThreadName]) -> list[ThreadName]:
            return await self._registry.idle_since(before, limit=_BATCH, passed_over=passed_over)

        async def untrimmed(passed_over: Collection[ThreadName]) -> list[ThreadName]:
            return await self._registry.untrimmed(limit=_BATCH, passed_over=passed_over)

        deleted = await self._each(expired, self._registry.delete)
        trimmed = await self._each(untrimmed, self._registry.trim)
        return deleted, trimmed

    async def _each(self, chosen: Chosen, work: Callable[[list[ThreadName]], Awaitable[None]]) -> int:
        done = 0
        while names := await chosen(self._resting()):
            batch: Batch[ThreadName] = self._isolation.batch(len(names))
            trouble: RetryableError | None = None
            for name in names:
                try:
                    with batch.one(name, name=name.key):
                        await work([name])
                        done += 1
                except RetryableError as error:
                    self._postpone(name)
                    if not isinstance(error, ThreadBusyError):
                        trouble = error
                        break
            for apart in batch.set_apart:
                again_us = self._clock.now_us() + _APART_US
                await self._registry.apart.note(apart.thing, PRUNING, apart.reason, again_us=again_us)
                self._counted(PRUNING, apart.reason.code)
            if trouble is not None:
                raise trouble
        return done

    def _postpone(self, name: ThreadName) -> None:
        if len(self._postponed) >= _MOST_POSTPONED:
            del self._postponed[next(iter(self._postponed))]
        self._postponed[name] = self._clock.monotonic() + _POSTPONED_S

    def _resting(self) -> Collection[ThreadName]:
        now = self._clock.monotonic()
        self._postponed = {name: until for name, until in self._postponed.items() if until > now}
        return self._postponed.keys()
