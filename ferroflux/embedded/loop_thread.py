"""An event loop on a thread of its own: the indexer's, so that its batches never make a search wait for the loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from runtime.event_loop import new_event_loop
from schemas.errors import FatalError

T = TypeVar("T")


class LoopThreadEndedError(FatalError):
    """The indexer's thread ended though nobody stopped it. Start again: what was taken is in the journal, and is applied first."""

    code = "loop_thread_ended"


class LoopThread:
    """Runs coroutines on its own loop for callers on another: the loop on which it is made."""

    def __init__(self, name: str) -> None:
        self._caller = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work()` there; its result or exception comes back here. Cancelling the wait cancels the work."""

        async def on_the_thread() -> T:
            return await work()

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(on_the_thread(), self._loop))

    async def watch(self) -> None:
        """Wait for an end that nobody asked for.

        Raises:
            LoopThreadEndedError: it came.
        """
        await self._ended.wait()
        raise LoopThreadEndedError

    async def stop(self) -> None:
        """End the loop; what still runs there is cancelled."""
        with suppress(RuntimeError):  # it has ended before, and is closed
            self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            pending = asyncio.all_tasks(self._loop)
            for task in pending:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            with suppress(RuntimeError):  # the caller's loop may be closed by now
                self._caller.call_soon_threadsafe(self._ended.set)
