"""How the search worker and its stores are: counts, coverage, lag and measured freshness."""

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.records.generations import MAIN


class TenantList(BaseModel):
    """The shops that the caller may search."""

    model_config = ConfigDict(frozen=True)

    tenants: tuple[str, ...]


class Coverage(BaseModel):
    """How many of the living products have something."""

    model_config = ConfigDict(frozen=True)

    products: int
    share: float = Field(ge=0, le=1, description="Of the living products; 1 where there are none.")


class CatalogueStatus(BaseModel):
    """Products of the tenants that the caller may see."""

    model_config = ConfigDict(frozen=True)

    documents: int = Field(description="Living products in the text replica.")
    deleted: int = Field(description="Tombstones in the text replica.")
    embedding: Coverage = Field(description="Products whose document says that it has a text vector.")
    images: Coverage = Field(description="Products with at least one picture.")
    vectors: int | None = Field(description="Living products in the vector store; null while it does not answer.")
    spaces: dict[str, Coverage] = Field(
        default_factory=dict,
        description="Of these, those with a vector, by vector space; empty while it does not answer.",
    )
    by_tenant: dict[str, int] = Field(description="Living products of each tenant.")


class PartitionLag(BaseModel):
    """One partition of the documents topic."""

    model_config = ConfigDict(frozen=True)

    partition: int
    position: int
    end: int
    lag: int


class ReplicaHealth(BaseModel):
    """The text replica that this worker reads."""

    model_config = ConfigDict(frozen=True)

    log_id: str
    topic: str
    caught_up: bool = Field(description="Whether the replica has reached the end that the log had when it started.")
    lag: int = Field(description="Records not yet applied, over all partitions.")
    partitions: tuple[PartitionLag, ...]
    last_commit_at: AwareDatetime | None
    reported_at: AwareDatetime | None = Field(description="The tailer's last heartbeat.")
    stale: bool = Field(description="Whether the heartbeat is too old: the tailer is down or hangs.")
    set_apart: dict[str, int] = Field(
        default_factory=dict,
        description="Products and records that were set apart and are not yet mended, over all tenants, by the reason code of their dead letters.",
    )
    letters_waiting: int = Field(0, description="Dead letters of it that could not be sent yet.")
    ended: str = Field("", description="Why the tailer ended, where it was not asked to; empty while it runs.")


class Percentiles(BaseModel):
    """Milliseconds over the window."""

    model_config = ConfigDict(frozen=True)

    p50: float
    p95: float
    p99: float
    samples: int


class StageTimes(BaseModel):
    """How long each stage of a change's way took by itself, in the order of the way; null where nothing was measured."""

    model_config = ConfigDict(frozen=True)

    log_ms: Percentiles | None = Field(
        None, description="From the commit in the warehouse to Kafka: the connector's part."
    )
    index_ms: Percentiles | None = Field(
        None, description="From Kafka to the vector index: queue, inference and write."
    )
    commit_ms: Percentiles | None = Field(None, description="From there to the text replica's commit.")
    visible_ms: Percentiles | None = Field(None, description="From the commit until this worker had loaded it.")


class FreshnessStatus(BaseModel):
    """How long products took to become visible to this worker, measured on those that did within the window.

    Null where the window holds no product with that time.
    """

    model_config = ConfigDict(frozen=True)

    window_s: float
    changed_to_visible_ms: Percentiles | None = Field(description="From the commit in the warehouse: the whole way.")
    logged_to_visible_ms: Percentiles | None = Field(description="From the change event's arrival in Kafka.")
    indexed_to_visible_ms: Percentiles | None = Field(description="From the indexer's write.")
    committed_to_visible_ms: Percentiles | None = Field(
        description="From the replica's commit: this worker's own part."
    )
    stages: StageTimes = Field(default_factory=StageTimes, description="The same way, stage by stage.")


class EncoderStatus(BaseModel):
    """The encoder of queries, and the space it shares with the stored vectors."""

    model_config = ConfigDict(frozen=True)

    model: str
    revision: str = Field(description="Digest of all that decides where a text lands.")
    dimension: int
    quantisation: str
    sparse: str | None = Field(
        None, description="The sparse encoder beside it, by model and revision; null where there is none."
    )


class RerankerStatus(BaseModel):
    """The cross-encoder that reranks."""

    model_config = ConfigDict(frozen=True)

    model: str
    revision: str = Field(description="Digest of all that decides a score.")
    depth: int = Field(description="Candidates that it reads at most.")
    budget_ms: float = Field(description="Milliseconds that it may take of a search.")


class GenerationStatus(BaseModel):
    """Which generation of the indexes answers here, and what keeps the others from it."""

    model_config = ConfigDict(frozen=True)

    answering: str = Field(MAIN, description="The generation that this worker answers from.")
    live: str = Field(
        MAIN, description="The generation that was promoted; this worker goes over to it once it has loaded it."
    )
    loaded: dict[str, str] = Field(
        default_factory=dict,
        description="Every generation that could answer, and what it waits for; empty text: nothing.",
    )


class StatusResponse(BaseModel):
    """The answer of `GET /v1/status`."""

    model_config = ConfigDict(frozen=True)

    ready: bool
    waiting_for: dict[str, str] = Field(description="What this worker waits for, by part; empty when ready.")
    version: str
    worker: int = Field(description="Process id of the worker that answered; each measures for itself.")
    encoder: EncoderStatus | None
    reranker: RerankerStatus | None = Field(
        None, description="Null where none is configured, or it is still being loaded."
    )
    catalogue: CatalogueStatus | None
    replica: ReplicaHealth | None = Field(description="Null where no tailer has reported yet.")
    freshness: FreshnessStatus
    generation: GenerationStatus = Field(default_factory=GenerationStatus)
    degraded: dict[str, str] = Field(
        default_factory=dict, description="What is amiss although this worker answers, by part; empty when all is well."
    )


class Readiness(BaseModel):
    """The answer of `GET /readyz` and `GET /healthz`."""

    model_config = ConfigDict(frozen=True)

    ready: bool
    waiting_for: dict[str, str] = Field(default_factory=dict)
    generation: str = Field("", description="Of /readyz: the generation of the indexes that this worker answers from.")
    degraded: dict[str, str] = Field(
        default_factory=dict,
        description="Of /readyz: what is amiss although the worker answers, by part, as a sentence; empty when all is well.",
    )
    set_apart: dict[str, int] = Field(
        default_factory=dict,
        description="Of /readyz: what its replica set apart, by the reason code of the dead letters.",
    )
