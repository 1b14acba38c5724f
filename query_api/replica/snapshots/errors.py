"""What can be wrong with a snapshot, or with the store that holds it."""

from schemas.errors import FerrofluxError, RetryableError


class SnapshotStoreError(RetryableError):
    """The snapshot store did not answer, or refused. Nothing depends on it but the next restore; check its URL, credentials and permissions."""

    code = "snapshot_store"


class CorruptSnapshotError(FerrofluxError):
    """The snapshot is not what was written: a file is missing or has another digest. Restore an older one, or let the replica rebuild from the log."""

    code = "corrupt_snapshot"


class IncompatibleSnapshotError(FerrofluxError):
    """The snapshot was written by another version, or belongs to another log. The replica rebuilds from the log; take a new snapshot then."""

    code = "incompatible_snapshot"
