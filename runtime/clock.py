"""The one clock: what the calendar says, what may be subtracted, and the pause that a test can shorten."""

from __future__ import annotations

import time
from typing import Final, Protocol


class Clock(Protocol):
    """Time, in two kinds. Whatever decides by the time takes one, so that tests and the simulation can move it."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC. May jump, also backwards, when the machine's clock is set."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed point; never goes back, and goes on while the process is stopped."""
        ...


class SystemClock:
    """The operating system's clocks."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds since some fixed point."""
        return time.monotonic()


SYSTEM_CLOCK: Final[Clock] = SystemClock()
"""For defaults, and for what only stamps; the class has no state."""


class Sleep(Protocol):
    """A pause; the default is `asyncio.sleep`."""

    async def __call__(self, delay: float, /) -> None:
        """Come back after `delay` seconds."""
        ...
