"""Where the history of sources lies: one place, to which entries are added one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from schemas.product.sources import SourceEntry, SourceHistory

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
