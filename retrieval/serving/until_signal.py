"""Serving until the process is told to stop, which is then an orderly end with status 0."""

from __future__ import annotations

import signal
from typing import Any

import uvicorn


def serve_until_signal(config: uvicorn.Config) -> None:
    """Serve in this process until SIGTERM or SIGINT, finish the requests that run, and return.

    uvicorn raises the signal once more when it is done, which would end the process by the signal: a supervisor would
    read a crash into every stop.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _done)
    uvicorn.Server(config).run()


def _done(*_: Any) -> None:
    """The signal was heard: serving has ended by it."""
