"""Where the history of sources lies: one place, to which entries are added one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from runtime.clock import Clock
from schemas.product.sources import HOLDS_AFTER_MS, SourceEntry, SourceHistory

Decide = Callable[[SourceHistory, int], SourceEntry]
"""Makes the next entry out of the newest history and the log time from which it will hold (milliseconds since 1970). Pure."""


class SourceStore(Protocol):
    """Every method may raise LogUnavailableError."""

    async def entries(self) -> Sequence[SourceEntry]:
        """All entries; none in a system where no operator ever added one."""
        ...

    async def add(self, decide: Decide) -> SourceEntry:
        """Decide on the newest history and add the entry, with nobody else in between; returns it as it is kept.

        It holds some seconds later (`HOLDS_AFTER_MS`), when everybody who takes changes in has heard of it.

        Raises:
            InvalidRequestError: the decision refused; nothing was added.
        """
        ...


class MemorySourceStore:
    """The port `SourceStore` on a list; no method yields to the event loop, so each is atomic."""

    def __init__(self, clock: Clock, *, holds_after_ms: int = HOLDS_AFTER_MS) -> None:
        self._clock = clock
        self._holds_after_ms = holds_after_ms
        self._entries: list[SourceEntry] = []

    async def entries(self) -> Sequence[SourceEntry]:
        """All entries."""
        return self.all()

    def all(self) -> Sequence[SourceEntry]:
        """All entries, at once."""
        return tuple(self._entries)

    async def add(self, decide: Decide) -> SourceEntry:
        """Decide and add."""
        entry = decide(SourceHistory(self._entries), self._clock.now_us() // 1_000 + self._holds_after_ms)
        self._entries.append(entry)
        return entry
