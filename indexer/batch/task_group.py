"""A bounded number of commits side by side: while the store and the log work on one, the next is read and planned.

Commits of one round concern distinct products, so their order among themselves means nothing. What matters is the end:
nobody goes on, and above all nobody commits an offset, while one of them may still write or produce.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from schemas.identity import SkuKey


class BoundedTaskGroup:
    """Runs commits, at most `most` at a time, and gathers the keys that they were refused.

    A context manager: left in order, it waits for all that run and raises the first failure. Where one fails, the others
    are not cut off but finish, so that nothing is left half done behind an error; a cancellation ends them all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # A list, not a set: what happens first must not hang on the tasks' addresses (one seed, one simulation).
        self._running: list[asyncio.Task[frozenset[SkuKey]]] = []
        self._failure: BaseException | None = None
        self.refused: frozenset[SkuKey] = frozenset()
        """What the finished ones were refused; whole once the context is left."""

    async def begin(self, commit: Callable[[], Awaitable[frozenset[SkuKey]]]) -> None:
        """Start a commit as soon as there is room.

        Raises:
            Exception: an earlier one failed; this one is not begun.
        """
        await self._at_most(self._most - 1)
        if self._failure is not None:
            raise self._failure

        async def run() -> frozenset[SkuKey]:
            return await commit()

        self._running.append(asyncio.create_task(run()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            await self._cancel()
            return
        await self._at_most(0)
        if error is None and self._failure is not None:
            raise self._failure

    async def _at_most(self, most: int) -> None:
        try:
            while len(self._running) > most:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                done = [task for task in self._running if task.done()]
                self._running = [task for task in self._running if task not in done]
                for task in done:
                    self._finished(task)
        except asyncio.CancelledError:
            await self._cancel()
            raise

    def _finished(self, task: asyncio.Task[frozenset[SkuKey]]) -> None:
        if task.cancelled():
            self._failure = self._failure or asyncio.CancelledError()
            return
        failure = task.exception()
        if failure is None:
            self.refused |= task.result()
        else:
            self._failure = self._failure or failure

    async def _cancel(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running = []
