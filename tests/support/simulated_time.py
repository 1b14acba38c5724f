"""Time for a supervisor that a test moves: a rest lasts until the test has gone past its end, and no longer."""

import asyncio

from runtime.supervision import Time
from tests.support.clock import ClockOf


class SimulatedTime:
    """`time` is what a supervisor takes."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.rests: list[float] = []
        self._sleepers: list[tuple[float, asyncio.Event]] = []
        self.time = Time(clock=ClockOf(lambda: self.now_s), sleep=self._sleep)

    async def pass_by(self, seconds: float) -> None:
        """Let this much time go by, and everything happen that it lets happen."""
        until = self.now_s + seconds
        await settle()
        while due := [sleeper for sleeper in self._sleepers if sleeper[0] <= until]:
            first = min(due, key=lambda sleeper: sleeper[0])
            self._sleepers.remove(first)
            self.now_s = max(self.now_s, first[0])
            first[1].set()
            await settle()
        self.now_s = until
        await settle()

    async def _sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        woken = asyncio.Event()
        self._sleepers.append((self.now_s + seconds, woken))
        await woken.wait()


async def settle() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)
