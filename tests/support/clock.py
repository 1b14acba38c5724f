"""A clock that shows what a test says."""

from collections.abc import Callable


class ClockOf:
    """Both kinds of time from one function that gives seconds."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds

    def now_us(self) -> int:
        return int(self._seconds() * 1e6)

    def monotonic(self) -> float:
        return self._seconds()
