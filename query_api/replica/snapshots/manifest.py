"""The manifest of a snapshot: what it holds, by which version it was written, and of which log it is. Written last.

A folder without a manifest is no snapshot. File names are checked by their form, so that a manifest, wherever it came
from, cannot name a file outside the folder that it is restored to.
"""

import re
import secrets
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from retrieval.text.port import Checkpoint
from retrieval.text.tantivy_index.commit_files import COMMIT_FILE, META_FILE
from retrieval.text.tantivy_index.compatibility import METADATA_FILE, current_metadata
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.kafka.topic_identity import is_same_log
from schemas.errors import FerrofluxError, RetryableError

_DAY_S: Final = 86_400
MANIFEST_FILE: Final = "manifest.json"
SNAPSHOT_ID: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}")
"""UTC time and eight random digits: sorting by name is sorting by time."""


class SnapshotFile(BaseModel):
    """One file and its digest."""

    model_config = ConfigDict(frozen=True)

    name: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("name")
    @classmethod
    def _is_a_commit_file(cls, name: str) -> str:
        if not COMMIT_FILE.fullmatch(name):
            raise ValueError("not the name of an index file")
        return name


class Manifest(BaseModel):
    """One snapshot: a commit of the text index with the offsets that it stands for."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    id: str
    created_us: int = Field(description="Microseconds since 1970.")
    topic: str
    log_id: str
    offsets: dict[int, Annotated[int, Field(ge=0)]] = Field(description="Next offset to read, by partition.")
    alive: int = Field(ge=0)
    dead: int = Field(ge=0)
    text_schema: str
    analyser: str
    library: str
    files: tuple[SnapshotFile, ...]

    @field_validator("files")
    @classmethod
    def _names_are_distinct(cls, files: tuple[SnapshotFile, ...]) -> tuple[SnapshotFile, ...]:
        names = {file.name for file in files}
        if len(names) < len(files) or not {META_FILE, METADATA_FILE} <= names:
            raise ValueError("a file is named twice, or the commit's own files are missing")
        return files

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that was committed with the data."""
        return Checkpoint(self.log_id, dict(self.offsets))

    @classmethod
    def parse(cls, snapshot_id: str, content: bytes) -> "Manifest":
        """Read a manifest.

        Raises:
            IncompatibleSnapshotError: it is of a later format.
            CorruptSnapshotError: it is no manifest, or that of another snapshot.
        """
        try:
            manifest = cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            if first["loc"] == ("format",):
                raise IncompatibleSnapshotError(
                    f"snapshot {snapshot_id} has a format that this version does not know"
                ) from error
            where = ".".join(map(str, first["loc"])) or "it"
            raise CorruptSnapshotError(
                f"the manifest of snapshot {snapshot_id} is damaged: {where}: {first['msg']}"
            ) from error
        if manifest.id != snapshot_id:
            raise CorruptSnapshotError(f"the folder {snapshot_id} holds the manifest of snapshot {manifest.id}")
        return manifest


def new_snapshot_id(now_us: int) -> str:
    """The id of a snapshot that is taken now."""
    return f"{datetime.fromtimestamp(now_us / 1e6, UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def require_fitting(
    manifest: Manifest, *, topic: str, log_id: str | None, oldest_s: float | None, clock: Clock = SYSTEM_CLOCK
) -> None:
    """Check that a snapshot can serve this version and this log, and is no older than `oldest_s` seconds.

    Without a `log_id` any log will do; `oldest_s` is None where the replica is compared with the vector index afterwards.

    Raises:
        IncompatibleSnapshotError: it cannot; the message says why.
    """
    current = current_metadata()
    for what, theirs, ours in (
        ("text schema", manifest.text_schema, current["schema"]),
        ("analyser", manifest.analyser, current["analyser"]),
        ("topic", manifest.topic, topic),
    ):
        if theirs != ours:
            raise IncompatibleSnapshotError(f"snapshot {manifest.id} is of {what} {theirs!r}, this replica of {ours!r}")
    if log_id is not None and not is_same_log(manifest.log_id, log_id):
        raise IncompatibleSnapshotError(
            f"snapshot {manifest.id} is of log {manifest.log_id!r}, this replica of {log_id!r}: the topic was made again, or is another cluster's"
        )
    age_s = (clock.now_us() - manifest.created_us) / 1e6
    if oldest_s is not None and age_s > oldest_s:
        raise IncompatibleSnapshotError(
            f"snapshot {manifest.id} was taken {age_s / _DAY_S:.1f} days ago, more than {oldest_s / _DAY_S:.1f} "
            "(snapshots.oldest_s): a product that was deleted and collected since might come back. Let the replica be built "
            "from the log, and take snapshots more often (snapshots.interval_s)"
        )


class SnapshotStoreError(RetryableError):
    """The snapshot store did not answer, or refused. Nothing depends on it but the next restore; check its URL, credentials and permissions."""

    code = "snapshot_store"


class CorruptSnapshotError(FerrofluxError):
    """The snapshot is not what was written: a file is missing or has another digest. Restore an older one, or let the replica rebuild from the log."""

    code = "corrupt_snapshot"


class IncompatibleSnapshotError(FerrofluxError):
    """The snapshot was written by another version, or belongs to another log. The replica rebuilds from the log; take a new snapshot then."""

    code = "incompatible_snapshot"
