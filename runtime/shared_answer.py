"""One computation for all who ask within a moment: whoever comes while it runs waits for it, whoever comes soon after gets it.

What is dear to compute is kept for longer: an answer is computed again after at least twenty times what it took, so that
however often it is asked for, it takes a twentieth of one core.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from runtime.clock import SYSTEM_CLOCK, Clock

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_REST: Final = 19
"""Times of its computation that an answer is kept: with the computation itself, twenty."""


@dataclass(slots=True)
class _Kept(Generic[V]):
    running: asyncio.Future[V]
    stale_at: float


class SharedAnswers(Generic[K, V]):
    """Answers by key, each shared for `fresh_s`; the `most` newest are kept. Used from one event loop.

    The key has to hold everything that the answer depends on, and who may see it first of all.
    """

    def __init__(
        self,
        compute: Callable[[K], Awaitable[V]],
        *,
        fresh_s: float = 1.0,
        most: int = 64,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._compute = compute
        self._fresh_s = fresh_s
        self._most = most
        self._clock = clock
        self._kept: OrderedDict[K, _Kept[V]] = OrderedDict()

    async def get(self, key: K) -> V:
        """The answer, computed now unless one is fresh or on its way. A failure is told to all who wait, and not kept."""
        kept = self._kept.get(key)
        if kept is None or (kept.running.done() and self._clock.monotonic() >= kept.stale_at):
            kept = self._kept[key] = self._begin(key)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        # Shielded: one caller that goes away takes the answer from nobody.
        return await asyncio.shield(kept.running)

    def _begin(self, key: K) -> _Kept[V]:
        began = self._clock.monotonic()

        async def compute() -> V:
            return await self._compute(key)

        kept = _Kept(asyncio.ensure_future(compute()), began + self._fresh_s)

        def done(running: asyncio.Future[V]) -> None:
            if running.cancelled() or running.exception() is not None:
                if self._kept.get(key) is kept:
                    del self._kept[key]
            else:
                now = self._clock.monotonic()
                kept.stale_at = max(began + self._fresh_s, now + _REST * (now - began))

        kept.running.add_done_callback(done)
        return kept
