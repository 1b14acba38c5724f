"""What the embedded system tells of its start and its life: lines for a person on a terminal, events for a log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import structlog

from runtime.clock import SYSTEM_CLOCK

log = structlog.get_logger(__name__)

_LOG_EVERY_S: Final = 5.0


class Step(Protocol):
    """A step that runs."""

    def progress(self, done: int, total: int) -> None:
        """So much of it is done."""
        ...

    def note(self, text: str) -> None:
        """What came of it, said at its end."""
        ...


class ProgressReporter(Protocol):
    """Tells the steps of a start or a stop."""

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """A step, told when it begins and when it has ended."""
        ...


class LoggedStep:
    """A step as log events: its progress every five seconds, its end with the note."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._said_at = SYSTEM_CLOCK.monotonic()
        self.noted = ""

    def progress(self, done: int, total: int) -> None:
        """Log progress, not too often."""
        if SYSTEM_CLOCK.monotonic() - self._said_at >= _LOG_EVERY_S:
            self._said_at = SYSTEM_CLOCK.monotonic()
            log.info("step goes on", step=self._what, done=done, total=total)

    def note(self, text: str) -> None:
        """Keep the note for the end."""
        self.noted = text


class LoggingProgressReporter:
    """One log event a step; the reporter of a system without a terminal."""

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """Log the step's end, with its time."""
        started = time.perf_counter()
        step = LoggedStep(what)
        yield step
        log.info("step done", step=what, note=step.noted, seconds=round(time.perf_counter() - started, 3))
