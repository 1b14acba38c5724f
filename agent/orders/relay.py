"""The relay: it empties the outbox into the log, for ever, and may be killed at any instruction."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from typing import Final

import structlog

from agent.orders.outbox import Outbox
from agent.orders.publishing import OrderPublisher
from agent.orders.settings import OrderSettings
from schemas.errors import RetryableError

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 15.0


class OutboxRelay:
    """One relay; several may run over one database, in one process or in many."""

    def __init__(self, outbox: Outbox, publisher: OrderPublisher, settings: OrderSettings) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._settings = settings
        self._owner = uuid.uuid4().hex
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin in the background of the running event loop."""
        self._task = asyncio.create_task(self._run(), name="order-relay")

    async def stop(self) -> None:
        """End; a batch that is under way is finished by whoever claims it next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._publisher.close()

    def wake(self) -> None:
        """Look at once: an order was just submitted here."""
        self._woken.set()

    async def publish_once(self) -> int:
        """Claim one batch, publish it, mark it; returns how many orders the log got.

        Raises:
            LogUnavailableError: the log did not confirm; the batch is free again, or its lease runs out.
            DatabaseUnavailableError: the outbox could not be read or marked.
        """
        rows = await self._outbox.claim(self._owner, limit=self._settings.batch, lease_s=self._settings.lease_s)
        if not rows:
            return 0
        try:
            await self._publisher.publish(rows)
        except RetryableError:
            await self._outbox.release(self._owner, rows)
            raise
        await self._outbox.mark_published(self._owner, rows)
        waited_ms = (time.time_ns() // 1000 - rows[0].created_us) / 1000
        retried = sum(row.attempts > 1 for row in rows)
        log.info("orders published", orders=len(rows), retried=retried, oldest_ms=round(waited_ms, 1))
        return len(rows)

    async def _run(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            self._woken.clear()
            try:
                published = await self.publish_once()
            except Exception as error:
                # Whatever it was, the orders are still in the outbox, and somebody waits for them.
                if isinstance(error, RetryableError):
                    log.warning("orders wait for the log", code=error.code, error=str(error), retry_s=round(pause, 1))
                else:
                    log.exception("order relay failed", retry_s=round(pause, 1))
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
                pause = min(_LONGEST_PAUSE_S, pause * 2)
                continue
            pause = _FIRST_PAUSE_S
            if published < self._settings.batch:
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._settings.poll_s):
                await self._woken.wait()
        except TimeoutError:
            return
