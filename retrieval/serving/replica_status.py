"""What the replica's tailer tells the API workers beside the index: how far it is, and how fresh its last commits were.

The tailer is one process and the workers are others, so it writes a small JSON file, `replica-status.json`, next to the
index and replaces it atomically; a worker reads it when its modification time changes. It is a report, not a
checkpoint: losing it loses nothing (the offsets that count are committed inside the index).
"""

from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runtime.files import atomic_write
from schemas.errors import IncompatibleIndexError

STATUS_FILE: Final = "replica-status.json"
"""Name of the file, in the folder that holds the replica."""

MAX_SAMPLES: Final = 256
"""How many freshness samples the file carries: the newest ones. A worker that reads it every quarter second misses
none up to a thousand documents a second; above that it measures a share of them."""


MAX_APART: Final = 20
"""How many of the things that were set apart the file names; the dead letters name all."""


class FreshnessSample(NamedTuple):
    """The times of one document that a commit made readable, microseconds since 1970; 0 where a stage is unknown.

    The first three are `DocumentTimes`; `committed_us` is when the replica's commit that holds it returned.
    """

    changed_us: int
    logged_us: int
    indexed_us: int
    committed_us: int


class PartitionProgress(BaseModel):
    """How far one partition of the documents topic is consumed: the next offset to read, and the log's end."""

    model_config = ConfigDict(frozen=True)

    partition: int = Field(ge=0)
    position: int = Field(ge=0, description="Next offset to be applied; everything below is committed.")
    end: int = Field(ge=0, description="Log end offset when it was last seen.")

    @property
    def lag(self) -> int:
        """Records that are in the log and not yet in the replica."""
        return max(0, self.end - self.position)


class ThingApart(BaseModel):
    """One thing that the replica set apart, as `ferroflux dlq list` shows it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    reason: str = Field(description="Reason code of its dead letter.")
    record: str = Field(description="Where its record stands in the topic: `partition@offset`.")
    key: str = Field(description="The record's key: tenant and SKU, as far as it has one.")
    detail: str = Field(description="What it lacks, and why.")
    since_us: int = Field(description="When it was set apart, microseconds since 1970.")


class ReplicaStatus(BaseModel):
    """One report of the tailer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    log_id: str = Field(description="Identity of the log that is followed: the ids of cluster and topic.")
    topic: str = Field(description="The documents topic.")
    pid: int = Field(description="The tailer's process.")
    started_us: int = Field(description="When the tailer started, microseconds since 1970.")
    written_us: int = Field(description="When this report was written: the tailer's heartbeat, at least every second.")
    committed_us: int = Field(0, description="When the last commit returned; 0 before the first of this process.")
    caught_up: bool = Field(
        default=False,
        description="Whether the end that the log had at the start has been reached: the replica is whole.",
    )
    partitions: tuple[PartitionProgress, ...] = Field((), description="Progress by partition, in order of partition.")
    written: int = Field(0, ge=0, description="Documents applied since the tailer started.")
    outdated: int = Field(0, ge=0, description="Documents dropped since a newer revision was held, since the start.")
    malformed: int = Field(0, ge=0, description="Records set apart since they are no documents, since the start.")
    set_apart: dict[str, int] = Field(
        default_factory=dict, description="What is set apart and not yet mended, by reason code; exact."
    )
    apart: tuple[ThingApart, ...] = Field((), description="The newest of it, at most MAX_APART.")
    letters_waiting: int = Field(0, ge=0, description="Dead letters that are not in their topic yet.")
    letters_trouble: str = Field("", description="Why they wait; empty while they do not.")
    ended: str = Field("", description="Why the tailer ended, where it was not asked to; empty while it runs.")
    samples: tuple[FreshnessSample, ...] = Field(
        (), description="Newest documents with their times, oldest commit first, at most MAX_SAMPLES."
    )

    @property
    def lag(self) -> int:
        """Records not yet in the replica, over all partitions."""
        return sum(partition.lag for partition in self.partitions)

    @property
    def degraded(self) -> dict[str, str]:
        """What is not as it should be although searches are answered, by part, as a sentence."""
        found = {}
        if self.set_apart:
            counted = ", ".join(f"{count} {reason}" for reason, count in sorted(self.set_apart.items()))
            found["set apart"] = f"{counted}; `ferroflux dlq list` shows them, and docs/how-to/operations.md what to do"
        if self.letters_trouble:
            found["dead letters"] = f"{self.letters_waiting} wait to be sent: {self.letters_trouble}"
        if self.ended:
            found["replica"] = f"it ended, and searches see its last commit: {self.ended}"
        return found


def write_status(folder: Path, status: ReplicaStatus) -> None:
    """Replace the report in `folder` atomically; a reader sees the old one or the new one, never a part.

    Not synced to disk: after a power cut the report may be gone, and the tailer writes the next within a second.
    """
    atomic_write(folder / STATUS_FILE, status.model_dump_json().encode(), durable=False)


def read_status(folder: Path) -> ReplicaStatus | None:
    """The newest report in `folder`; None where no tailer has written one yet.

    Raises:
        IncompatibleIndexError: the file is there but is not a report of this version.
    """
    path = folder / STATUS_FILE
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return ReplicaStatus.model_validate_json(raw)
    except ValidationError as error:
        msg = f"{path} is not a status report of this version; restart `ferroflux replica` with the version of the API"
        raise IncompatibleIndexError(msg) from error
