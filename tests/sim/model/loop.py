"""An event loop whose time is simulated: when nothing is ready, the clock jumps to the next timer. One seed, one run."""

import asyncio
import random
from collections.abc import Callable
from typing import Any


class Deadlock(BaseException):
    """Nothing is ready and no timer is set: everybody waits for somebody else."""


class _NoFiles:
    """In place of the selector: waiting means moving the clock."""

    def __init__(self, loop: "SimLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock
        self._loop.now += timeout
        return []


class SimLoop(asyncio.BaseEventLoop):
    """Virtual time, and executors that run their jobs on the loop after a random delay."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._selector = _NoFiles(self)
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override] # one thread is enough here
        del executor
        future: asyncio.Future[Any] = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                result = func(*args)
            except Exception as error:  # noqa: BLE001 - belongs to whoever awaits the job
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_later(self._rng.expovariate(500), run)
        return future

    def _process_events(self, event_list: list[Any]) -> None:
        assert not event_list

    def _write_to_self(self) -> None:
        """There is no other thread to wake us from."""
