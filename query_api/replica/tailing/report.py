"""The replica's report for the API workers: kept in memory, written next to the index often enough to be a heartbeat."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from query_api.replica.tailing.progress import TailProgress
from retrieval.serving.replica_status import (
    MAX_APART,
    MAX_SAMPLES,
    FreshnessSample,
    PartitionProgress,
    ReplicaStatus,
    ThingApart,
    write_status,
)
from retrieval.text.apart.ledger import SetApart

HEARTBEAT_US: Final = 900_000
"""Longest time between two reports, microseconds; the contract of the file is one second."""

_AFTER_COMMIT_US: Final = 100_000
"""Commits closer together than this share a report: the file is for people and gauges, not for every commit."""


@dataclass(slots=True)
class TailReport:
    """What the tailer did since it started."""

    topic: str
    pid: int
    started_us: int
    log_id: str = ""
    committed_us: int = 0
    caught_up: bool = False
    written: int = 0
    outdated: int = 0
    malformed: int = 0
    partitions: tuple[PartitionProgress, ...] = ()
    set_apart: SetApart = field(default_factory=SetApart)
    letters_trouble: str = ""
    ended: str = ""
    samples: deque[FreshnessSample] = field(default_factory=lambda: deque(maxlen=MAX_SAMPLES))
    _reported_us: int = 0
    _stale: bool = True

    def committed(
        self, now_us: int, *, written: int, outdated: int, malformed: int, samples: Iterable[FreshnessSample]
    ) -> None:
        """Add one commit."""
        self.committed_us = now_us
        self.written += written
        self.outdated += outdated
        self.malformed += malformed
        self.samples.extend(samples)
        self._stale = True

    def progressed(self, progress: TailProgress) -> None:
        """Note the positions; `caught_up` stays once it was reached, for what is whole stays whole."""
        self.log_id = progress.log_id
        self.partitions = tuple(
            PartitionProgress(partition=number, position=progress.positions[number], end=end)
            for number, end in sorted(progress.ends.items())
        )
        if progress.caught_up and not self.caught_up:
            self.caught_up = True
            self._stale = True

    def due(self, now_us: int) -> bool:
        """Whether it is time to write: soon after a commit, and always within a second."""
        return now_us - self._reported_us >= (_AFTER_COMMIT_US if self._stale else HEARTBEAT_US)

    def apart(self, set_apart: SetApart, letters_trouble: str) -> None:
        """Note what is set apart, and why letters wait."""
        if (set_apart, letters_trouble) != (self.set_apart, self.letters_trouble):
            self.set_apart, self.letters_trouble = set_apart, letters_trouble
            self._stale = True

    def write(self, folder: Path, now_us: int) -> None:
        """Replace the file in `folder`."""
        self._reported_us, self._stale = now_us, False
        write_status(folder, self.status(now_us))

    def status(self, now_us: int) -> ReplicaStatus:
        """The report as it is written."""
        open_entries = [entry for entry in self.set_apart.ledger.entries if not entry.settled]
        return ReplicaStatus(
            log_id=self.log_id,
            topic=self.topic,
            pid=self.pid,
            started_us=self.started_us,
            written_us=now_us,
            committed_us=self.committed_us,
            caught_up=self.caught_up,
            partitions=self.partitions,
            written=self.written,
            outdated=self.outdated,
            malformed=self.malformed,
            set_apart=self.set_apart.counts,
            apart=tuple(
                ThingApart(
                    reason=entry.flaw.value,
                    record=str(entry.place),
                    key=entry.key,
                    detail=entry.sentence,
                    since_us=entry.since_us,
                )
                for entry in open_entries[-MAX_APART:]
            ),
            letters_waiting=len(self.set_apart.ledger.untold),
            letters_trouble=self.letters_trouble,
            ended=self.ended,
            samples=tuple(self.samples),
        )
