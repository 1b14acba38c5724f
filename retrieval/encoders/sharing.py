"""One processor, several who want inference: queries, live changes and loads share it by weight, in pieces.

Where search and indexing are one process, their inferences would otherwise take what the operating system gives to threads:
a load of a catalogue as much as all queries together. Each call waits for its turn here, on the thread that it was made on.

Turns go by start-time fair queueing (P. Goyal, H. M. Vin, H. Cheng, "Start-time Fair Queuing", 1996). Each kind has a clock of
its own that runs with the time it was served, the slower the greater its weight; whoever's clock is furthest behind goes
next. A kind that begins to wait again takes up at the present and claims nothing for the time when it had nothing to do. So a
kind that asks for less than its share hardly waits, one that asks for more has its share, and what a kind leaves the others
have.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Generic, TypeVar

import numpy as np

from retrieval.encoders.port import Matrix, ModelRevision, SparseEncoder, SparseVector, TextEncoder
from retrieval.encoders.settings import EncoderShares
from runtime.clock import SYSTEM_CLOCK, Clock

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


R = TypeVar("R")

_PIECE: Final = 8
"""Passages of one turn: who comes meanwhile waits for no more than that."""


class Urgency(StrEnum):
    """For whom an inference is made."""

    QUERY = "query"
    """Somebody waits for the answer."""
    LIVE = "live"
    """A change that just happened."""
    BULK = "bulk"
    """A load, a rebuild, a replay."""


urgency: ContextVar[Urgency] = ContextVar("urgency", default=Urgency.LIVE)
"""Of the passages that are encoded in this context; whoever works on a load says so."""


@contextmanager
def on_behalf_of(kind: Urgency) -> Iterator[None]:
    """What is encoded in this block, and by tasks that are made in it, is of this urgency."""
    before = urgency.set(kind)
    try:
        yield
    finally:
        urgency.reset(before)


class InferenceShares:
    """Hands out turns by weight. Thread-safe; a turn is waited for on the caller's own thread."""

    def __init__(self, shares: EncoderShares, *, at_once: int, clock: Clock = SYSTEM_CLOCK) -> None:
        weights: dict[str, float] = {
            Urgency.QUERY: shares.queries,
            Urgency.LIVE: shares.live,
            Urgency.BULK: shares.bulk,
        }
        self._queue: FairQueue[_Waiting] = FairQueue(weights, at_once=at_once)
        self._lock = threading.Lock()
        self._clock = clock

    @contextmanager
    def turn(self, kind: Urgency, units: int) -> Iterator[None]:
        """Wait for the turn of so many texts, and hold it while the block lasts."""
        waiting = _Waiting()
        with self._lock:
            self._queue.add(kind, waiting, units)
            self._let_go()
        waiting.called.wait()
        turn, began = waiting.turn, self._clock.monotonic()
        assert turn is not None
        try:
            yield
        finally:
            with self._lock:
                self._queue.done(turn, self._clock.monotonic() - began)
                self._let_go()

    def _let_go(self) -> None:
        while (turn := self._queue.next()) is not None:
            turn.work.turn = turn
            turn.work.called.set()


class _Waiting:
    def __init__(self) -> None:
        self.called = threading.Event()
        self.turn: Turn[_Waiting] | None = None


class SharedEncoder:
    """The port `TextEncoder` over one that others use too."""

    def __init__(self, encoder: TextEncoder, shares: InferenceShares) -> None:
        self._encoder = encoder
        self._shares = shares
        self.sparse: SparseEncoder | None = None
        if encoder.sparse is not None:
            self.sparse = SharedSparseEncoder(encoder.sparse, shares)

    @property
    def revision(self) -> ModelRevision:
        """Which space the vectors live in."""
        return self._encoder.revision

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Vectors of search queries, by their turn."""
        with self._shares.turn(Urgency.QUERY, len(texts)):
            return self._encoder.encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> Matrix:
        """Vectors of catalogue texts, by their turns, a few texts each."""
        if not texts:
            return self._encoder.encode_passages(texts)
        return np.concatenate(_in_pieces(self._encoder.encode_passages, texts, self._shares))

    def passage_lengths(self, texts: Sequence[str]) -> list[int]:
        """As the encoder says; no inference."""
        return self._encoder.passage_lengths(texts)


class SharedSparseEncoder:
    """The port `SparseEncoder` over one that others use too."""

    def __init__(self, encoder: SparseEncoder, shares: InferenceShares) -> None:
        self._encoder = encoder
        self._shares = shares

    @property
    def revision(self) -> ModelRevision:
        """Which space the vectors live in."""
        return self._encoder.revision

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Weights of search queries, by their turn."""
        with self._shares.turn(Urgency.QUERY, len(texts)):
            return self._encoder.encode_queries(texts)

    def encode_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        """Weights of catalogue texts, by their turns, a few texts each."""
        return [one for piece in _in_pieces(self._encoder.encode_passages, texts, self._shares) for one in piece]


def _in_pieces(encode: Callable[[Sequence[str]], R], texts: Sequence[str], shares: InferenceShares) -> list[R]:
    """The texts' vectors piece by piece; texts of like length are to stand beside each other, as the pipeline has them."""
    done = []
    for start in range(0, len(texts), _PIECE):
        piece = texts[start : start + _PIECE]
        with shares.turn(urgency.get(), len(piece)):
            done.append(encode(piece))
    return done
