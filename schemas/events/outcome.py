"""What a record turned out to be, where it is not poison."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.changes import ChangeEvent


@dataclass(frozen=True, slots=True)
class Changes:
    """The record's changes, at least one; two where an update moved a row from one SKU or place to another."""

    events: tuple[ChangeEvent, ...]

    @property
    def is_delete(self) -> bool:
        """Whether the record only deletes."""
        return all(event.is_delete for event in self.events)


@dataclass(frozen=True, slots=True)
class Ignored:
    """The record is well but holds no change of a product, and why."""

    reason: str


ParsedRecord = Changes | Ignored
