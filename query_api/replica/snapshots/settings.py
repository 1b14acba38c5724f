"""Where snapshots go, how often one is taken, and how many are kept."""

from pydantic import BaseModel, ConfigDict, Field


class SnapshotSettings(BaseModel):
    """Snapshots of the text replica. Without a URL none are taken and none are restored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(
        "",
        repr=False,
        description="Folder for snapshots as any fsspec URL (`s3://bucket/replica`, `gs://…`, `file:///…`); empty: none. "
        "Credentials come from the store's own environment variables.",
    )
    interval_s: float = Field(
        3600.0, ge=10, description="Seconds between two snapshots; replicas that share a URL share the turn."
    )
    keep: int = Field(3, ge=1, le=1000, description="Snapshots of this version and log that are kept; older ones go.")
    oldest_s: float = Field(
        6 * 86_400.0,
        gt=0,
        description="Seconds after which a snapshot is not restored any more, but the replica built from the log. Less than the "
        "documents topic's `delete.retention.ms` (7 days where we made it): of a product that was deleted and collected, the "
        "topic says nothing after that, and an older snapshot would bring it back.",
    )
    restore: bool = Field(
        True, description="Whether a replica without an index starts from the newest snapshot that fits."
    )
