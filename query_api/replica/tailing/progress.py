"""Where to begin, how far we are, and whether the replica is whole. Pure.

The checkpoint stands in the index, in the same commit as the data, so it is exact. What it does not know is what became
of the log meanwhile: another log (its cluster or its topic is another one), partitions added, or offsets that the log no longer holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from query_api.replica.tailing.log import LogView
from retrieval.text.port import Checkpoint
from runtime.kafka.topic_identity import fullest_identity, is_same_log


@dataclass(frozen=True, slots=True)
class StartPlan:
    """The offset to begin each partition with; partitions read again although the checkpoint knew them, and whether the log is a new one.

    `log_id` is what the next checkpoint says: a topic's id that was known once is kept where it cannot be asked now.
    """

    positions: Mapping[int, int]
    rewound: frozenset[int] = frozenset()
    new_log: bool = False
    log_id: str = ""


def plan_start(checkpoint: Checkpoint | None, view: LogView) -> StartPlan:
    """Begin at the checkpoint; at the log's beginning where there is none, or it is of another log, or out of bounds.

    The data of another log is kept: revisions decide, document by document, what of the new log is newer.
    """
    begins = {number: bounds.begin for number, bounds in view.bounds.items()}
    if checkpoint is None:
        return StartPlan(begins, log_id=view.log_id)
    if not is_same_log(checkpoint.log_id, view.log_id):
        return StartPlan(begins, new_log=True, log_id=view.log_id)
    rewound = frozenset(
        number
        for number, bounds in view.bounds.items()
        if number in checkpoint.offsets and not bounds.begin <= checkpoint.offsets[number] <= bounds.end
    )
    positions = {
        number: begin if number in rewound else checkpoint.offsets.get(number, begin)
        for number, begin in begins.items()
    }
    return StartPlan(positions, rewound, log_id=fullest_identity(checkpoint.log_id, view.log_id))


class TailProgress:
    """Positions and ends of the followed partitions of one log, since it was opened."""

    def __init__(self, view: LogView, positions: Mapping[int, int], *, log_id: str = "") -> None:
        self.log_id = log_id or view.log_id
        self._positions = dict(positions)
        self._ends = {number: bounds.end for number, bounds in view.bounds.items()}
        self._targets = dict(self._ends)

    @property
    def positions(self) -> Mapping[int, int]:
        """Next offset of each partition."""
        return self._positions

    @property
    def ends(self) -> Mapping[int, int]:
        """The log's end of each partition, as last seen."""
        return self._ends

    @property
    def lag(self) -> Mapping[int, int]:
        """Records in the log and not yet read, by partition."""
        return {number: max(0, end - self._positions[number]) for number, end in self._ends.items()}

    @property
    def caught_up(self) -> bool:
        """Whether every partition has reached the end that it had when the log was opened."""
        return all(self._positions[number] >= target for number, target in self._targets.items())

    def advance(self, positions: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Note where the reader is; an end never lies before the position."""
        self._positions.update(positions)
        for number, end in {**self._ends, **ends}.items():
            self._ends[number] = max(end, self._positions[number])

    def add(self, numbers: frozenset[int]) -> None:
        """Follow new partitions, from their first record."""
        for number in numbers - self._positions.keys():
            self._positions[number] = 0
            self._ends[number] = 0

    def checkpoint(self) -> Checkpoint:
        """What is to be committed with the data that was read so far."""
        return Checkpoint(self.log_id, dict(self._positions))
