"""The indexer's settings: environment variables `FERROFLUX_<SECTION>__<NAME>`, checked for contradictions at start."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from retrieval.encoders.settings import EncoderSettings
from retrieval.vectors.settings import VectorSettings
from schemas.events.admission import DEFAULT_MAX_AHEAD_S
from schemas.topics import KafkaSettings


class ConsumerSettings(BaseModel):
    """How this indexer takes part in its consumer group, and how large its batches grow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group_id: str = Field(
        "ferroflux-indexer", min_length=1, description="Consumer group; indexers of one group share the work."
    )
    group_instance_id: str | None = Field(
        None, min_length=1, description="Static membership: a stable name of this instance, so that a restart moves no partitions."
    )  # fmt: skip
    client_id: str = Field("ferroflux-indexer", description="Name of this client in the brokers' logs and quotas.")
    batch_records: int = Field(
        500, ge=1, le=10_000, description="Most records of one batch; reached only when lagging."
    )
    poll_ms: int = Field(10, ge=1, le=1000, description="Pause after a poll without records, and the poll's own wait.")
    fetch_wait_ms: int = Field(30, ge=1, le=10_000, description="How long the broker may hold a fetch without records.")
    partition_fetch_bytes: int = Field(1_048_576, ge=1024, description="Most bytes of one partition in a fetch.")
    metadata_age_s: float = Field(
        5, gt=0, le=3600, description="How often the topics are looked at for partitions that were added."
    )
    session_timeout_ms: int = Field(
        15_000, ge=6_000, description="Silence after which the group takes a member for dead."
    )
    rebalance_timeout_ms: int = Field(
        60_000, ge=6_000, description="How long the group waits for its members to rejoin."
    )
    revoke_grace_s: float = Field(30.0, gt=0, description="How long a revocation lets the batch in progress finish.")
    stop_grace_s: float = Field(30.0, gt=0, description="How long a shutdown lets the batch in progress finish.")
    bulk_slice_s: float = Field(
        0.15, gt=0, le=10, description="How long a piece of a bulk load may keep a live change waiting."
    )
    live_slice_s: float | None = Field(
        None,
        gt=0,
        le=10,
        description="Work live records, too, in pieces of about this length, each journalled and committed by itself; unset: a batch is one piece.",
    )
    live_turns: int = Field(
        8, ge=1, le=1000, description="Live batches for each piece of a bulk load, where live changes never cease."
    )
    divert_snapshots: bool = Field(
        True, description="Move a connector's snapshot reads out of the live topics into the bulk topic."
    )
    max_record_bytes: int = Field(4_194_304, ge=1024, le=6_291_456, description="A larger record is a dead letter.")
    embed_chunk: int = Field(32, ge=1, le=4096, description="Texts that are encoded, written and published together.")

    @model_validator(mode="after")
    def _grace_ends_before_the_rebalance(self) -> Self:
        if self.revoke_grace_s * 1000 >= self.rebalance_timeout_ms:
            raise ValueError(
                f"revoke_grace_s ({self.revoke_grace_s} s) must be shorter than rebalance_timeout_ms "
                f"({self.rebalance_timeout_ms} ms): the group would put this member out before its batch is finished"
            )
        return self


class HttpSettings(BaseModel):
    """Where health, readiness and metrics are served.

    The variables of this section are search's too, and `ferroflux up` reads both: what is not ours is passed over.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    host: str = Field("0.0.0.0", description="Address to listen on.")  # noqa: S104 - probes and scrapers come from outside the pod
    port: int = Field(8001, ge=0, le=65535, description="Port; 0 serves nothing.")


class IndexerSettings(BaseSettings):
    """Everything that the indexer can be told."""

    model_config = SettingsConfigDict(
        hide_input_in_errors=True, env_prefix="FERROFLUX_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    vectors: VectorSettings = Field(default_factory=VectorSettings)
    encoder: EncoderSettings = Field(default_factory=EncoderSettings)
    consumer: ConsumerSettings = Field(default_factory=ConsumerSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    mapping: Path | None = Field(
        None, description="Mapping file from tables and columns to facets; none: canonical events only."
    )
    default_tenant: str = Field("default", description="Tenant of events that name none.")
    max_ahead_s: float = Field(
        DEFAULT_MAX_AHEAD_S,
        ge=0,
        description="How far a version that is a clock (microseconds since 1970) may lie past the moment at which the log took its record; what is further ahead is a dead letter.",
    )

    @model_validator(mode="after")
    def _kafka_makes_sense(self) -> Self:
        kafka = self.kafka
        if kafka.security_protocol not in {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}:
            raise ValueError(
                f"kafka.security_protocol {kafka.security_protocol!r} is none of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"
            )
        if "SASL" in kafka.security_protocol:
            if kafka.sasl_mechanism not in {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}:
                raise ValueError(
                    f"kafka.sasl_mechanism {kafka.sasl_mechanism!r} is none of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
                )
            if not kafka.sasl_username or not kafka.sasl_password.get_secret_value():
                raise ValueError(
                    f"kafka.security_protocol is {kafka.security_protocol}, so kafka.sasl_username and kafka.sasl_password must be set"
                )
        elif kafka.sasl_username or kafka.sasl_password.get_secret_value():
            raise ValueError(
                "kafka.sasl_username is set, but kafka.security_protocol has no SASL: the password would not be used"
            )
        names = kafka.topics
        topics = [*names.consumed, names.documents, names.aliases, names.generations, names.sources, names.dead_letters]
        if not kafka.topics.changes:
            raise ValueError("kafka.topics.changes names no topic: there is nothing to index")
        if len(set(topics)) < len(topics):
            raise ValueError("kafka.topics names one topic for two purposes: the indexer would read what it writes")
        return self
