"""Back-pressure in bytes: how much may be in the broker's memory without being in the journal yet.

The embedded broker drops the oldest records of a partition beyond 5 MB, consumed or not. So a record is sent only when
its partition's unjournalled bytes stay below a budget well under that, and a producer that is faster waits.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from ferroflux.embedded.broker import PARTITION_CAP_BYTES

PARTITION_BUDGET_BYTES: Final = PARTITION_CAP_BYTES * 2 // 5
"""2 MB: the other 3 MB are left to producers that speak to the broker directly, whom nobody can hold back."""

RECORD_OVERHEAD_BYTES: Final = 96
"""Counted for each record beside key and value: its share of the batch header, timestamp, offset, headers."""


@dataclass(slots=True)
class PartitionBudget:
    """Bytes in flight by partition. For one event loop."""

    limit: int = PARTITION_BUDGET_BYTES
    _used: Counter[int] = field(default_factory=Counter)
    _freed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def used(self, partition: int) -> int:
        """Bytes in flight in one partition."""
        return self._used[partition]

    async def acquire(self, partition: int, size: int) -> None:
        """Wait until `size` more bytes fit; a record larger than the whole budget goes alone."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._fits(partition, size))
            self._used[partition] += size

    async def release(self, partition: int, size: int) -> None:
        """Give bytes back."""
        async with self._freed:
            self._used[partition] -= size
            self._freed.notify_all()

    def _fits(self, partition: int, size: int) -> bool:
        used = self._used[partition]
        return used == 0 or used + size <= self.limit
