"""A stopwatch for the stages of one search: milliseconds by name."""

from __future__ import annotations

import time


class Stopwatch:
    """Starts when it is made; `lap` closes a stage under its name."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """What has passed since the last lap belongs to this stage."""
        now = time.perf_counter()
        self.laps[stage] = _milliseconds(self._last, now)
        self._last = now

    def skip(self) -> None:
        """What has passed since the last lap belongs to no stage."""
        self._last = time.perf_counter()

    def total(self) -> float:
        """All that has passed."""
        return _milliseconds(self._started, time.perf_counter())


def _milliseconds(start: float, end: float) -> float:
    return round((end - start) * 1000, 3)
