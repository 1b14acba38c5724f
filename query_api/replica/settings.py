"""Settings of the replica process, from the environment: `FERROFLUX_KAFKA__BOOTSTRAP`, `FERROFLUX_TEXT__DIRECTORY` and so on."""

from pydantic import BaseModel, ConfigDict, Field

from query_api.settings import TextSettings
from runtime.retry import BackoffPolicy
from runtime.rights.settings import ProcessSettings
from schemas.topics import KafkaSettings


class ReplicaHttpSettings(BaseModel):
    """Where the replica answers /healthz, /readyz and /metrics."""

    model_config = ConfigDict(frozen=True)

    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - probes come from outside the container
    port: int = Field(8002, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")


class TailSettings(BaseModel):
    """How the log is followed. The defaults make a document searchable a few milliseconds after it is in the log."""

    model_config = ConfigDict(frozen=True)

    batch_records: int = Field(
        2000, ge=1, le=100_000, description="Most records in one commit; reached only when catching up."
    )
    fetch_wait_ms: int = Field(
        20,
        ge=1,
        le=1000,
        description="How long the broker holds an empty fetch open. A client has one fetch a broker in flight, so this "
        "bounds how long a partition that was just read waits for its next turn.",
    )
    poll_timeout_ms: int = Field(
        200, ge=1, le=1000, description="Longest wait for records before the report is renewed and a stop is seen."
    )
    silence_s: float = Field(
        5, gt=0, le=300, description="The broker counts as away when it has answered no fetch for this long."
    )
    metadata_age_s: float = Field(
        5, gt=0, le=3600, description="How often the topic is looked at for partitions that were added."
    )
    retry_first_s: float = Field(0.2, gt=0, le=60, description="First wait after the log went away.")
    retry_most_s: float = Field(10, gt=0, le=600, description="Longest wait between two tries.")

    @property
    def backoff(self) -> BackoffPolicy:
        """How long to rest while the log is away."""
        return BackoffPolicy(self.retry_first_s, self.retry_most_s)


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


class ReplicaSettings(ProcessSettings):
    """All settings of `ferroflux replica`."""

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    text: TextSettings = Field(default_factory=TextSettings)
    http: ReplicaHttpSettings = Field(default_factory=ReplicaHttpSettings)
    tail: TailSettings = Field(default_factory=TailSettings)
    snapshots: SnapshotSettings = Field(default_factory=SnapshotSettings)
