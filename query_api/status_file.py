"""What the replica's tailer tells the API workers beside the index: how far it is, and how fresh its last commits were.

The tailer is one process and the workers are others, so it writes a small JSON file, `replica-status.json`, next to the
index and replaces it atomically; a worker reads it when its modification time changes. It is a report, not a
checkpoint: losing it loses nothing (the offsets that count are committed inside the index).
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.errors import IncompatibleIndexError

STATUS_FILE: Final = "replica-status.json"
"""Name of the file, in the folder that holds the replica."""

MAX_SAMPLES: Final = 256
"""How many freshness samples the file carries: the newest ones. A worker that reads it every quarter second misses
none up to a thousand documents a second; above that it measures a share of them."""


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


class ReplicaStatus(BaseModel):
    """One report of the tailer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    log_id: str = Field(description="Identity of the log that is followed (Kafka's cluster id).")
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
    malformed: int = Field(0, ge=0, description="Records skipped since they are no documents, since the start.")
    samples: tuple[FreshnessSample, ...] = Field(
        (), description="Newest documents with their times, oldest commit first, at most MAX_SAMPLES."
    )

    @property
    def lag(self) -> int:
        """Records not yet in the replica, over all partitions."""
        return sum(partition.lag for partition in self.partitions)


def write_status(folder: Path, status: ReplicaStatus) -> None:
    """Replace the report in `folder` atomically; a reader sees the old one or the new one, never a part.

    Not synced to disk: after a power cut the report may be gone, and the tailer writes the next within a second.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{STATUS_FILE}.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(status.model_dump_json().encode())
        Path(temporary).replace(folder / STATUS_FILE)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


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
