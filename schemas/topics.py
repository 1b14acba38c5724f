"""The Kafka topics of ferroflux: names, cleanup policy, and how many partitions a new one gets.

The record key is `tenant/sku` everywhere; only a Debezium connector's topics keep the connector's own key.
"""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr

DEFAULT_PARTITIONS: Final = 12

LARGEST_RECORD_BYTES: Final = 8 * 1024 * 1024
"""What a topic that we create takes: more than an accepted change or a document of it has, with room for headers of ours."""

SMALLEST_RECORD_BYTES: Final = 64 * 1024
"""What every topic of ours must take: a shortened document and the smallest form of a letter are below it."""


class TopicNames(BaseModel):
    """The names of the topics; the defaults suit one installation per Kafka cluster."""

    model_config = ConfigDict(frozen=True)

    changes: tuple[str, ...] = Field(
        ("warehouse.changes",), description="Topics of change events: ours, and those of Debezium connectors."
    )
    bulk: str = Field(
        "warehouse.changes.bulk",
        min_length=1,
        description="Change events of bulk loads and snapshots: taken when no live change waits.",
    )
    documents: str = Field("catalog.documents", description="Compacted: the newest document of every SKU.")
    aliases: str = Field("catalog.aliases", description="Compacted: the newest version of every alias entry.")
    generations: str = Field(
        "catalog.generations",
        description="Compacted, one partition: which generations there are and which is live; made by the first indexer.",
    )
    sources: str = Field(
        "catalog.sources",
        description="Compacted, one partition: which sources feed which facets; made by the first `ferroflux facet handover` or `reset`.",
    )
    dead_letters: str = Field("warehouse.changes.dlq", description="Records that could not be processed, with reasons.")

    @property
    def consumed(self) -> tuple[str, ...]:
        """Every topic with change events: the live ones and that of bulk loads. A replay or a rebuild reads them all."""
        return (*self.changes, self.bulk)


class KafkaSettings(BaseModel):
    """How to reach Kafka, and how topics are created where they are absent."""

    model_config = ConfigDict(frozen=True)

    bootstrap: str = Field("localhost:9092", description="Bootstrap servers, comma-separated host:port.")
    security_protocol: str = Field("PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.")
    sasl_mechanism: str = Field("PLAIN", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.")
    sasl_username: str = Field("", description="SASL user name.")
    sasl_password: SecretStr = Field(SecretStr(""), description="SASL password; never shown.")
    ssl_cafile: str = Field("", description="Certificate authority file for SSL; empty: the system's.")
    topics: TopicNames = Field(default_factory=TopicNames)
    partitions: int = Field(DEFAULT_PARTITIONS, ge=1, le=1000, description="Partitions of a topic that we create.")
    replication: int = Field(1, ge=1, le=10, description="Replication factor of a topic that we create.")
    create_topics: bool = Field(True, description="Create absent topics at start; off where an operator does it.")
