"""What a record turned out to be, where it is not poison."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.changes import ChangeEvent
from schemas.sources import DEFAULT_SOURCE


@dataclass(frozen=True, slots=True)
class Changes:
    """The record's changes, at least one; two where an update moved a row from one SKU or place to another."""

    events: tuple[ChangeEvent, ...]
    source: str = field(default=DEFAULT_SOURCE, compare=False)
    """Whose changes they are, by the name that facets are declared with (`schemas.sources`)."""
    may_be_clock: bool = field(default=True, compare=False)
    """Whether the versions may be a clock's microseconds; False where they are known to be a count."""

    @property
    def is_delete(self) -> bool:
        """Whether the record only deletes."""
        return all(event.is_delete for event in self.events)


@dataclass(frozen=True, slots=True)
class Ignored:
    """The record is well but holds no change of a product, and why."""

    reason: str


ParsedRecord = Changes | Ignored
