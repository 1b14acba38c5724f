"""The history of sources as a running process knows it: heard from the control log, and refused where that is not known to be new.

An entry holds `HOLDS_AFTER_MS` after the log took it. So whoever knows that he has heard everything up to a few seconds
ago decides as everybody else does, and as a replay will; a process that was stopped in between does not, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.errors import RetryableError
from schemas.product.sources import SourceEntry, SourceHistory

FRESH_FOR_S: Final = 3.0
"""Added to the five seconds that an entry's transaction may stay open it is less than `HOLDS_AFTER_MS`, with two for the clocks."""


class SourcesUnknownError(RetryableError):
    """The control log of sources was not read just now, so nobody can say whether a change may come in. The batch waits and is tried again; check that the brokers answer."""

    code = "sources_unknown"


class LiveSources:
    """What was heard, and when that was last known to be all. One task tells it, any thread asks it."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK, *, fresh_for_s: float = FRESH_FOR_S) -> None:
        self._clock = clock
        self._fresh_for_s = fresh_for_s
        self._history = SourceHistory()
        self._complete_at: float | None = None

    def hear(self, entries: Iterable[SourceEntry], *, age_s: float = 0.0) -> None:
        """Take note of all entries that there were `age_s` ago."""
        history = SourceHistory(entries)
        if history.entries != self._history.entries:
            self._history = history
        self._complete_at = self._clock.monotonic() - age_s

    def history(self) -> SourceHistory:
        """The newest history.

        Raises:
            SourcesUnknownError: it was never read, or it is too long ago that it was known to be all.
        """
        complete_at = self._complete_at
        if complete_at is None or self._clock.monotonic() - complete_at > self._fresh_for_s:
            raise SourcesUnknownError
        return self._history
