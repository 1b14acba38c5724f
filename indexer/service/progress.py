"""How the consumer is doing, as readiness and metrics ask it: assignment, batches, failures, rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from indexer.records import TopicPartition


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the last batch failed, when it did (monotonic seconds) and how long the consumer rests because of it."""

    code: str
    message: str
    at: float
    resting_s: float


@dataclass(slots=True)
class Progress:
    """Written by the consumer, read by readiness, on one event loop."""

    assignment: frozenset[TopicPartition] = field(default_factory=frozenset)
    joined: bool = False
    """Whether the group has given an assignment, be it an empty one, since start or since the last revocation."""
    batch_since: float | None = None
    """Monotonic time since when a batch is being worked on; None between batches."""
    last_batch: float | None = None
    """Monotonic time when a batch last ended well."""
    failures: int = 0
    """Batches that failed in a row."""
    failure: Failure | None = None
    set_apart: Counter[str] = field(default_factory=Counter)
    """Since the start, by stage: products that were set apart, and records whose parse showed a defect of ours."""

    def assigned(self, partitions: frozenset[TopicPartition]) -> None:
        """The group gave these partitions; whatever rested before belongs to an earlier assignment."""
        self.assignment = partitions
        self.joined = True

    def revoked(self) -> None:
        """The group is about to give the partitions anew."""
        self.assignment = frozenset()
        self.joined = False

    def batch_began(self, now: float) -> None:
        """A batch is being worked on."""
        self.batch_since = now

    def batch_ended(self, now: float) -> None:
        """The batch is done and committed, or belongs to another indexer."""
        self.batch_since = None
        self.last_batch = now
        self.failures = 0
        self.failure = None

    def batch_failed(self, now: float, code: str, message: str, *, resting_s: float) -> None:
        """The batch will be read again."""
        self.batch_since = None
        self.failures += 1
        self.failure = Failure(code, message, now, resting_s)
