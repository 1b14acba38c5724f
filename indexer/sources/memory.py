"""The history of sources in memory, for tests and simulations."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.sources.port import Decide
from runtime.clock import Clock
from schemas.product.sources import HOLDS_AFTER_MS, SourceEntry, SourceHistory


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
