"""One bad thing never stops the others: whatever handles many things sets one of them apart with its reason and goes on.

A thing is a record, a document, an order, a conversation, an alias entry. Every step on one of them that is pure (parse,
analyse, build, render) runs within `Batch.one`, which decides by the exception's class:

- `PoisonError`: the thing breaks a rule that we state. It is set apart; any number of them is the sender's matter.
- `RefusedError`: a dependency refuses it for what it is. Set apart, and counted as a defect: it may as well be ours.
- `RetryableError`, `FatalError`, `OSError`, `MemoryError`: the thing is not the cause. They pass, and their owner retries or ends.
- anything else: a defect of ours that this thing shows. It is set apart, too; but where many things show one, to set them all apart
  would empty the catalogue in silence, so too many of them end the work with `DefectError`, before anything is committed.

What is set apart is the owner's to keep and to show: as a dead letter, in a status, in a metric.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

import structlog

from schemas.errors import FatalError, FerrofluxError, PoisonError, RefusedError
from schemas.events.dead_letters import LONGEST_DETAIL

log = structlog.get_logger(__name__)

T = TypeVar("T")

UNEXPECTED: Final = "unexpected"
"""Reason of what a defect of ours set apart: the rest goes on, and the thing can be tried again after the fix."""


class DefectError(FatalError):
    """One step failed on too many things at once, so the fault is ours and not theirs. Nothing of them was committed: install a version with the fix and start again, or roll back the last change of version or settings."""

    code = "defect"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a thing was set apart: a stable code, and a sentence for the operator of at most LONGEST_DETAIL characters."""

    code: str
    detail: str

    @classmethod
    def of(cls, error: Exception) -> Self:
        """A stated rule's or a refusal's own code and sentence; of a defect, its representation."""
        if isinstance(error, PoisonError | RefusedError):
            return cls(error.code, str(error)[:LONGEST_DETAIL])
        return cls(UNEXPECTED, repr(error)[:LONGEST_DETAIL])


@dataclass(frozen=True, slots=True)
class SetApart(Generic[T]):
    """A thing that could not be handled, and why."""

    thing: T
    reason: Reason


@dataclass(frozen=True, slots=True)
class DefectLimits:
    """Up to where defects are taken for the things' own: `in_a_row` of them, and of a batch the share `most_of_batch`.

    Fewer than `fewest` are never too many by share: in a small batch one thing is more than any share, and says nothing.
    """

    in_a_row: int = 50
    most_of_batch: float = 0.01
    fewest: int = 10

    def most(self, size: int) -> float:
        """How many of a batch of `size` things may show a defect."""
        return max(self.fewest, self.most_of_batch * size)


_LIMITS: Final = DefectLimits()


class Isolation:
    """One stage of one process ("analyse", "render an order"); it remembers from batch to batch how many failed in a row."""

    def __init__(self, stage: str, limits: DefectLimits = _LIMITS) -> None:
        self.stage = stage
        self._limits = limits
        self._in_a_row = 0

    def batch(self, size: int) -> Batch[T]:
        """Begin a batch of so many things."""
        return Batch(self, size)

    def passed(self) -> None:
        """Note that a thing went through: the row of defects ends."""
        self._in_a_row = 0

    def failed(self, of_batch: int, size: int, reason: Reason) -> None:
        """Count a defect, the `of_batch`-th of a batch of `size`.

        Raises:
            DefectError: it is one too many.
        """
        self._in_a_row += 1
        if self._in_a_row >= self._limits.in_a_row:
            raise DefectError(self._verdict(f"{self._in_a_row} in a row", reason))
        if of_batch > self._limits.most(size):
            raise DefectError(self._verdict(f"{of_batch} of {size}", reason))

    def _verdict(self, how_many: str, reason: Reason) -> str:
        remedy = " ".join((DefectError.__doc__ or "").split())
        return f"{self.stage} failed on {how_many}, the last with {reason.detail[:200]}. {remedy}"


@dataclass(slots=True)
class Batch(Generic[T]):
    """The things of one batch, one after another; used by one thread or task at a time."""

    isolation: Isolation
    size: int
    set_apart: list[SetApart[T]] = field(default_factory=list)
    _defects: int = 0

    def one(self, thing: T, *, name: str) -> _One[T]:
        """A context for the steps on one thing; `name` is for the log (coordinates, an id), never what the thing holds.

        Left by an exception that concerns this thing alone, it swallows it and notes the thing in `set_apart`.

        Raises:
            DefectError: too many things of the batch, or in a row, showed a defect.
        """
        return _One(self, thing, name)

    def note(self, thing: T, error: Exception, *, name: str) -> None:
        """Set a thing apart for an error that was caught elsewhere (`one` is the usual way).

        Raises:
            DefectError: as in `one`.
        """
        reason = Reason.of(error)
        self.set_apart.append(SetApart(thing, reason))
        if isinstance(error, PoisonError):
            log.warning("set apart", stage=self.isolation.stage, thing=name, reason=reason.code, detail=reason.detail)
            return
        log.error("set apart", stage=self.isolation.stage, thing=name, reason=reason.code, exc_info=error)
        self._defects += 1
        self.isolation.failed(self._defects, self.size, reason)


class _One(Generic[T]):
    def __init__(self, batch: Batch[T], thing: T, name: str) -> None:
        self._batch = batch
        self._thing = thing
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self._batch.isolation.passed()
            return False
        if not isinstance(error, Exception) or not concerns_one(error):
            return False
        self._batch.note(self._thing, error, name=self._name)
        return True


def concerns_one(error: Exception) -> bool:
    """Whether an exception says something of the thing at hand, not of a dependency, the configuration or the machine."""
    if isinstance(error, PoisonError | RefusedError):
        return True
    return not isinstance(error, (FerrofluxError, OSError, MemoryError))
