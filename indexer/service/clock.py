"""The real clock."""

from __future__ import annotations

import time


class SystemClock:
    """The port `Clock` on the operating system's clocks."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds since some fixed point."""
        return time.monotonic()
