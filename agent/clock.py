"""The machine's own clock."""

from __future__ import annotations

import time


class SystemClock:
    """`Clock` over `time`."""

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.perf_counter()

    def now_us(self) -> int:
        """Microseconds since 1970."""
        return time.time_ns() // 1000
