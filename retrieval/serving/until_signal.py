"""Serving until the process is told to stop, which is an orderly end with status 0, or until a part of it fails for good."""

from __future__ import annotations

import signal
from typing import Any

import uvicorn

from schemas.errors import FatalError


class ProcessEnd:
    """How a part of a serving process ends it: the requests that run are finished, and the process ends by the error."""

    def __init__(self) -> None:
        self.error: FatalError | None = None

    def __call__(self, error: FatalError) -> None:
        """Begin the end; from the main thread. The first error is the reason."""
        if self.error is None:
            self.error = error
        signal.raise_signal(signal.SIGTERM)


def serve_until_signal(config: uvicorn.Config, end: ProcessEnd) -> None:
    """Serve in this process until SIGTERM or SIGINT, finish the requests that run, and return.

    uvicorn raises the signal once more when it is done, which would end the process by the signal: a supervisor would
    read a crash into every stop.

    Raises:
        FatalError: what ended it was a part that failed for good.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _done)
    uvicorn.Server(config).run()
    if end.error is not None:
        raise end.error


def _done(*_: Any) -> None:
    """The signal was heard: serving has ended by it."""
