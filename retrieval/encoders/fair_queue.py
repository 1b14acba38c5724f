"""Start-time fair queueing: who goes next where several kinds of work share one thing by weight. Pure, and not thread-safe.

Each kind has a clock of its own that runs with the time it was served, the slower the greater its weight; whoever's clock is
furthest behind goes next. A kind that begins to wait again takes up at the present and claims nothing for the time when it
had nothing to do. So a kind that asks for less than its share hardly waits, one that asks for more has its share, and what a
kind leaves the others have (P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair Queuing", 1996).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_REMEMBERED: Final = 0.8
"""Share of the earlier ones in the seconds that a unit of work is expected to take; the newest has the rest."""


@dataclass(slots=True)
class _Kind(Generic[T]):
    weight: float
    waiting: deque[tuple[T, int]] = field(default_factory=deque)
    running: int = 0
    clock: float = 0.0
    unit_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn(Generic[T]):
    """One piece of work whose turn it is; give it back with the seconds that it took."""

    kind: str
    work: T
    units: int
    charged_s: float


class FairQueue(Generic[T]):
    """Work by kind, of which `at_once` pieces are done at a time."""

    def __init__(self, weights: Mapping[str, float], *, at_once: int) -> None:
        self._kinds: dict[str, _Kind[T]] = {name: _Kind(weight) for name, weight in weights.items()}
        self._free = at_once
        self._now = 0.0

    def add(self, kind: str, work: T, units: int = 1) -> None:
        """Let a piece of work wait for its turn."""
        own = self._kinds[kind]
        if not own.waiting and not own.running:
            own.clock = max(own.clock, self._now)
        own.waiting.append((work, units))

    def next(self) -> Turn[T] | None:
        """Whose turn it is now; None where nobody waits, or as many are at work as may be."""
        waiting = [(own.clock, -own.weight, name) for name, own in self._kinds.items() if own.waiting]
        if not self._free or not waiting:
            return None
        self._now, _, name = min(waiting)
        own = self._kinds[name]
        work, units = own.waiting.popleft()
        expected = units * own.unit_s
        own.clock += expected / own.weight
        own.running += 1
        self._free -= 1
        return Turn(name, work, units, expected)

    def done(self, turn: Turn[T], seconds: float) -> None:
        """The work has ended, whatever became of it."""
        own = self._kinds[turn.kind]
        own.clock += (seconds - turn.charged_s) / own.weight
        each = seconds / max(1, turn.units)
        own.unit_s = each if not own.unit_s else _REMEMBERED * own.unit_s + (1 - _REMEMBERED) * each
        own.running -= 1
        self._free += 1
