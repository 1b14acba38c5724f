"""The event loop of every process of ours, its garbage collection, and its end.

uvloop costs less processor time a message than asyncio's own loop; Windows has none, and there asyncio's serves.

Python's full collection walks every container that there is, holding the interpreter's lock: 0.3 s for what a search worker
has loaded once it is warm (half a million), and nothing answers meanwhile. So what is kept for life is taken out of its sight.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import uvicorn

from schemas.errors import FatalError

T = TypeVar("T")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop that nobody runs yet; the caller runs and closes it."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415 - absent on Windows

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def run(main: Coroutine[object, object, T]) -> T:
    """Run a process's coroutine to its end, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)


_THRESHOLDS: Final = (10_000, 5, 400)
"""Containers more than there were until the youngest generation is collected; how many of those a middle collection waits
for; how many of these a full one. Python's own (700, 10, 10) brought a full collection a second under a flood of changes,
0.3 s each, and it found nothing: reference counts free nearly all of it."""


def freeze_heap(*, collect: bool = False) -> None:
    """Leave everything that is there now out of later collections; call it when a process is ready, and when it has loaded more.

    Full collections become rare from then on, too. Frozen objects are freed as ever when nothing refers to them; only
    cycles among them stay. With `collect`, garbage is collected before, which takes the time of a full collection.
    """
    gc.set_threshold(*_THRESHOLDS)
    if collect:
        gc.collect()
    gc.freeze()


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
