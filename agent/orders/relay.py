"""The relay: it empties the outbox into the log, for ever, and may be killed at any instruction."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Final

import structlog

from agent.orders.outbox import Outbox
from agent.orders.publishing import OrderPublisher
from agent.orders.settings import OrderSettings
from runtime.backoff import BackoffPolicy
from schemas.errors import RetryableError

log = structlog.get_logger(__name__)

RELAY_BACKOFF: Final = BackoffPolicy(base_s=0.2, cap_s=15.0)
"""How a relay that ended by an error is started again."""


class OutboxRelay:
    """One relay; several may run over one database, in one process or in many. `run` is its whole life, for a supervisor."""

    def __init__(self, outbox: Outbox, publisher: OrderPublisher, settings: OrderSettings) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._settings = settings
        self._owner = uuid.uuid4().hex
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Empty the outbox until cancelled; a batch that is under way then is finished by whoever claims it next.

        Raises:
            LogUnavailableError, DatabaseUnavailableError: as `publish_once`. Whatever ended it, the orders are still in the
                outbox and somebody waits for them: it is to be started again.
        """
        while True:
            self._woken.clear()
            if await self.publish_once() < self._settings.batch:
                await self._rest()

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

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._settings.poll_s):
                await self._woken.wait()
        except TimeoutError:
            return
