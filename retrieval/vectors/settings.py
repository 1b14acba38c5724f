"""How the vector index is chosen and tuned; the processes nest this model in their own settings."""

from enum import StrEnum
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class VectorStoreKind(StrEnum):
    """Which store holds the vectors."""

    EDGE = "edge"
    """Qdrant's engine in this process, on a local directory that one process owns."""
    QDRANT = "qdrant"
    """A Qdrant server or cluster, by gRPC."""


class Quantisation(StrEnum):
    """How vectors are compressed for the first pass; the originals stay for rescoring."""

    NONE = "none"
    SCALAR = "scalar"
    """Eight bits a dimension."""


class Consistency(StrEnum):
    """How strictly a replicated collection orders writes; without replicas all are the same."""

    WEAK = "weak"
    MEDIUM = "medium"
    STRONG = "strong"


class HnswSettings(BaseModel):
    """Shape of the graph and of its search."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    m: int = Field(16, ge=0, description="Edges a node; 0 builds no graph over the whole collection.")
    payload_m: int | None = Field(None, ge=0, description="Edges a node within one tenant; unset: the same as `m`.")
    ef_construct: int = Field(100, ge=4, description="Candidates looked at while building.")
    ef_search: int | None = Field(
        None, ge=1, description="Candidates looked at while searching; unset: the store's own."
    )


class RetrySettings(BaseModel):
    """How long the adapter itself tries before it reports the store as unavailable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = Field(4, ge=1, description="Tries of one call, the first included.")
    first_delay_s: float = Field(
        0.05, ge=0, description="Upper bound of the first pause; it doubles, and each is drawn below it."
    )
    max_delay_s: float = Field(1.0, ge=0, description="Upper bound that the pauses grow to.")
    deadline_s: float = Field(
        15.0, gt=0, description="After this long no further try begins, and a running one is given up."
    )


class VectorSettings(BaseModel):
    """The vector index of one process. `url` is for a server, `directory` for Edge."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: VectorStoreKind = Field(
        VectorStoreKind.EDGE,
        description="Qdrant Edge in this process, or a Qdrant server (several processes need one).",
    )
    directory: Path = Field(Path("var/vectors"), description="Edge: the directory that this process owns.")
    url: str = Field(
        "http://localhost:6333", description="Server: http or https, host, and REST port, which is not used."
    )
    grpc_port: int = Field(
        6334, ge=1, le=65535, description="Server: port of the gRPC interface, which carries all calls."
    )
    api_key: SecretStr | None = Field(None, description="Server: key sent with each call; wants https.")
    collection: str = Field(
        "catalogue",
        min_length=1,
        max_length=255,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Server: name of the collection.",
    )
    connections: int = Field(3, ge=1, description="Server: gRPC channels that calls are spread over.")
    timeout_s: float = Field(5.0, gt=0, description="Server: time that one try of a call may take.")
    retry: RetrySettings = RetrySettings()
    write_batch: int = Field(256, ge=1, le=4096, description="Server: points in one guarded request.")
    ordering: Consistency = Field(Consistency.MEDIUM, description="Server: write ordering between replicas.")
    shards: int = Field(1, ge=1, description="Server: shards of a collection that `prepare` creates.")
    replicas: int = Field(1, ge=1, description="Server: copies of each shard; a majority must confirm a write.")
    hnsw: HnswSettings = HnswSettings()
    quantisation: Quantisation = Field(
        Quantisation.NONE, description="How vectors are kept in memory for the first pass of a search."
    )
    index_after_points: int = Field(
        100_000, ge=1, description="Edge: build a graph when a segment has more points; below, comparing all is faster."
    )
    flush_every: int = Field(
        32_768, ge=1, description="Edge: points written between two flushes of the write-ahead log."
    )

    content_bytes: int = Field(
        2 * 1024**3,
        ge=0,
        description="Bytes of the vectors that are kept by the text that they were computed from, so that none is computed twice; the oldest go first. 0: none are kept.",
    )

    @model_validator(mode="after")
    def _url_names_a_server(self) -> Self:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("url must be http://host:port or https://host:port")
        if parts.username or parts.password:
            raise ValueError("url must not hold a name or password; set api_key")
        return self
