"""What a record turned out to be, which changes are let in, and in which epoch: the last step of the parse. Pure.

Two questions that the merge cannot ask, since it must stay commutative: does this source feed the facet, and is its clock
right? Both are answered from the record, the time at which the log took it, and the history of sources, so that the same
record is answered the same whenever it is read (docs/decisions/0075).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from schemas.errors import VersionAheadError
from schemas.product.changes import ChangeEvent
from schemas.product.sources import DEFAULT_SOURCE, Declared, SourceHistory, epoch_taken

DEFAULT_MAX_AHEAD_S: Final = 600.0

_CENTURY_US: Final = 100 * 365 * 86_400 * 1_000_000
"""What lies further ahead than this is no clock but a count that happens to be large: an operator's epoch beats it."""


def _nothing_declared() -> SourceHistory:
    return SourceHistory()


@dataclass(frozen=True, slots=True)
class AdmissionRules:
    """What a process admits: `history` gives the newest entries that it knows of, or raises where it knows too little."""

    max_ahead_s: float = DEFAULT_MAX_AHEAD_S
    history: Callable[[], SourceHistory] = _nothing_declared


class Admission:
    """The rules over one mapping. Safe to share between threads."""

    def __init__(self, rules: AdmissionRules, declared: Declared) -> None:
        self._rules = rules
        self._declared = declared
        self._max_ahead_us = int(rules.max_ahead_s * 1_000_000)
        self._seen: tuple[SourceHistory, SourceHistory] | None = None

    def admit(self, changes: Changes, taken_ms: int) -> Changes:
        """The changes with the epoch of their source.

        Raises:
            VersionAheadError: a version is a clock's, and lies too far ahead of the time at which the log took the record.
            UndeclaredSourceError: the facet of a change has declared sources, and this is none of them.
        """
        history = self._history()
        events = tuple(self._admitted(event, changes, taken_ms, history) for event in changes.events)
        if all(new is old for new, old in zip(events, changes.events, strict=True)):
            return changes
        return replace(changes, events=events)

    def _admitted(self, event: ChangeEvent, changes: Changes, taken_ms: int, history: SourceHistory) -> ChangeEvent:
        if changes.may_be_clock:
            self._require_due(event.version.sequence, taken_ms)
        own = event.version.epoch
        epoch = epoch_taken(history.of(event.key.tenant, event.facet), changes.source, own, taken_ms)
        return event if epoch == own else replace(event, version=replace(event.version, epoch=epoch))

    def _require_due(self, sequence: int, taken_ms: int) -> None:
        ahead_us = sequence - taken_ms * 1_000
        if not self._max_ahead_us < ahead_us <= _CENTURY_US:
            return
        raise VersionAheadError(
            f"version {sequence} is {_moment(sequence)} as microseconds since 1970, and the log took the record at "
            f"{_moment(taken_ms * 1_000)}: {_duration(ahead_us)} ahead, more than the {self._max_ahead_us // 1_000_000} s of "
            "max_ahead_s, so every change until then would be older. Set the clock of the source right and send the row again; "
            "where the number is a count and no clock, name its source in the mapping with version: position"
        )

    def _history(self) -> SourceHistory:
        known = self._rules.history()
        seen = self._seen
        if seen is None or seen[0] is not known:
            seen = self._seen = known, known.declaring(self._declared)
        return seen[1]


def _moment(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _duration(microseconds: int) -> str:
    seconds = microseconds // 1_000_000
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


@dataclass(frozen=True, slots=True)
class Changes:
    """The record's changes, at least one; two where an update moved a row from one SKU or place to another."""

    events: tuple[ChangeEvent, ...]
    source: str = field(default=DEFAULT_SOURCE, compare=False)
    """Whose changes they are, by the name that facets are declared with (`schemas.product.sources`)."""
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
