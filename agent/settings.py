"""All settings of the agent, a class a section: environment variables `FERROFLUX_AGENT__<SECTION>__<NAME>`, and the shared ones of Kafka and stores."""

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from agent.conversation.limits import AgentLimits
from retrieval.encoders.settings import EncoderSettings
from retrieval.search.settings import SearchSettings
from retrieval.text.settings import TextIndexSettings
from retrieval.vectors.settings import VectorSettings
from runtime.rights.settings import AccessSettings, ProcessSettings
from schemas.topics import KafkaSettings


class ReplicaSettings(TextIndexSettings):
    """The text replica on this machine, which `ferroflux replica` keeps; read where the agent searches in its own process."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    directory: Path = Field(Path("var/text"), description="Folder of the text index.")
    refresh_s: float = Field(0.015, ge=0.001, le=10, description="Seconds between two looks for a newer commit.")


class CatalogueKind(StrEnum):
    """Where the agent searches."""

    HTTP = "http"
    LOCAL = "local"


class CatalogueSettings(BaseModel):
    """The search that the agent's tools use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: CatalogueKind = Field(
        CatalogueKind.HTTP,
        description="http: a search API by its address; local: in this process, over the replica on this machine and the vector store.",
    )
    url: str = Field("http://127.0.0.1:8000", description="Address of the search API.")
    api_keys: dict[str, SecretStr] = Field(
        default_factory=dict, description="Key of the search API by tenant, where it asks for keys."
    )
    timeout_s: float = Field(5.0, gt=0, le=60, description="Seconds for one search.")

    @model_validator(mode="after")
    def _url_is_one(self) -> Self:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError("catalogue.url must begin with http:// or https://")
        return self


class SpanExport(StrEnum):
    """Where spans go."""

    NONE = "none"
    CONSOLE = "console"
    OTLP = "otlp"


class ObservationSettings(BaseModel):
    """Tracing. Metrics are always at /metrics, and every turn's trace in the database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spans: SpanExport = Field(
        SpanExport.NONE,
        description="none, console (standard error) or otlp; otlp needs the package opentelemetry-exporter-otlp-proto-http "
        "and reads OpenTelemetry's own variables.",
    )


_SQLITE: Final = "sqlite+aiosqlite"
_POSTGRES: Final = "postgresql+asyncpg"
_DRIVERS: Final = {
    "sqlite": _SQLITE,
    _SQLITE: _SQLITE,
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
    _POSTGRES: _POSTGRES,
}


class DatabaseSettings(BaseModel):
    """One URL; empty means SQLite in `directory`, which one machine's processes may share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = Field(
        SecretStr(""), description="`postgresql://user:password@host/database`, or `sqlite:///path`; empty: a file in `directory`."
    )  # fmt: skip
    directory: Path = Field(Path("var/agent"), description="Folder of the SQLite files; created where it is absent.")
    pool: int = Field(10, ge=1, le=200, description="Connections that a process holds open to PostgreSQL.")
    timeout_s: float = Field(10.0, gt=0, le=120, description="Wait for a connection, or for SQLite's one writer.")

    @model_validator(mode="after")
    def _url_is_one_of_ours(self) -> Self:
        given = self.url.get_secret_value()
        if given and (_parsed(given) is None or self.sqlalchemy_url.drivername not in {_SQLITE, _POSTGRES}):
            # The URL itself stays out of the sentence: it holds a password.
            raise ValueError("database.url is none of sqlite:///path and postgresql://user:password@host/database")
        return self

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.sqlalchemy_url.drivername == _SQLITE

    @property
    def sqlalchemy_url(self) -> URL:
        """The URL with the asynchronous driver that we use."""
        given = self.url.get_secret_value()
        if not given:
            return URL.create(_SQLITE, database=str(self.directory / "agent.db"))
        parsed = _parsed(given)
        if parsed is None:
            return URL.create("unreadable")
        return parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))

    @property
    def sqlite_file(self) -> Path | None:
        """The database's file; None where the URL names none."""
        path = self.sqlalchemy_url.database
        return Path(path) if path and path != ":memory:" else None

    @property
    def libpq_url(self) -> str:
        """The same PostgreSQL database as psycopg takes it, password included: never log it."""
        return self.sqlalchemy_url.set(drivername="postgresql").render_as_string(hide_password=False)


def _parsed(given: str) -> URL | None:
    try:
        return make_url(given)
    except ArgumentError:
        return None


class ModelSettings(BaseModel):
    """One chat model. Any provider of LangChain's `init_chat_model` whose package is installed; empty: no model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", max_length=128, description="The model's name as its provider calls it; empty: none.")
    provider: str = Field(
        "openai", description="LangChain's name of the provider; openai speaks to any compatible server."
    )
    base_url: str = Field("", description="Address of an OpenAI-compatible server; empty: the provider's own.")
    api_key: SecretStr = Field(SecretStr(""), description="The provider's key; empty: the one in its own variable.")
    temperature: float = Field(0.0, description="0 asks for the likeliest answer.", ge=0, le=2)
    timeout_s: float = Field(8.0, gt=0, le=120, description="Seconds for one answer; then the next planner is asked.")
    stream: bool = Field(False, description="Read the answer as a stream, for servers that answer in no other way.")
    max_output_tokens: int = Field(800, description="Most tokens that one answer may have.", ge=16, le=32_000)
    input_price: Decimal = Field(Decimal(0), ge=0, description="Price of a million input tokens.")
    output_price: Decimal = Field(Decimal(0), ge=0, description="Price of a million output tokens.")

    @model_validator(mode="after")
    def _address_is_one(self) -> Self:
        if self.base_url and not self.base_url.startswith(("http://", "https://")):
            raise ValueError("base_url must begin with http:// or https://")
        return self

    @property
    def configured(self) -> bool:
        """Whether there is such a model."""
        return bool(self.name)


class PlannerSettings(BaseModel):
    """The cascade: `cheap` is asked first, `strong` where the first answer is rejected, the built-in planner otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cheap: ModelSettings = Field(default_factory=ModelSettings)
    strong: ModelSettings = Field(default_factory=ModelSettings)
    daily_cost: Decimal | None = Field(
        None, ge=0, description="Most that a tenant's models may cost in a day (UTC); none: no cap."
    )
    daily_tokens: int | None = Field(
        5_000_000, ge=0, description="Most tokens of a tenant in a day (UTC); beyond it the built-in planner answers."
    )
    daily_tokens_per_address: int | None = Field(
        500_000, ge=0, description="Most tokens of one client address (IPv6: its /64) with a tenant in a day (UTC)."
    )
    cooldown_s: float = Field(10.0, ge=0, le=600, description="How long a model that failed is not asked again.")
    agreement: float = Field(
        0.85, ge=0, le=1, description="Confidence of the built-in reading from which a model that reads otherwise is rejected."
    )  # fmt: skip

    @model_validator(mode="after")
    def _strong_needs_cheap(self) -> Self:
        if self.strong.configured and not self.cheap.configured:
            raise ValueError("planner.strong names a model and planner.cheap none: give the only model as cheap")
        return self

    @property
    def is_capped(self) -> bool:
        """Whether spending has any cap."""
        return any(cap is not None for cap in (self.daily_cost, self.daily_tokens, self.daily_tokens_per_address))


class CheckpointKind(StrEnum):
    """The stores that there are."""

    MEMORY = "memory"
    SQLITE = "sqlite"
    POSTGRES = "postgres"
    REDIS = "redis"


class CheckpointSettings(BaseModel):
    """One setting chooses the store; the rest has defaults that suit it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: CheckpointKind = Field(CheckpointKind.SQLITE, description="memory, sqlite, postgres or redis.")
    url: SecretStr = Field(
        SecretStr(""),
        description="Of PostgreSQL or Redis (`redis://`, `rediss://`). Empty with postgres: the agent's own database.",
    )
    pool: int = Field(10, ge=2, le=200, description="Connections that a process holds open to PostgreSQL.")
    timeout_s: float = Field(10.0, gt=0, le=120, description="Wait for a connection, or for SQLite's one writer.")
    expire_days: float = Field(30.0, gt=0, le=3650, description="Age of the last turn from which a thread is deleted.")
    prune_every_s: float = Field(60.0, gt=0, description="Pause between two rounds of deleting and trimming.")

    @model_validator(mode="after")
    def _redis_has_an_address(self) -> Self:
        if self.kind is CheckpointKind.REDIS and not self.url.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("checkpoints.url must begin with redis:// or rediss://, since checkpoints.kind is redis")
        return self


class OrderSettings(BaseModel):
    """The topic, and how the relay works through the outbox."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    topic: str = Field("orders.submitted", min_length=1, description="Topic of submitted orders; key = the order's id.")
    publish: bool = Field(True, description="Run the relay in this process; off where another process does it.")
    batch: int = Field(100, ge=1, le=1000, description="Orders that a relay takes at a time.")
    poll_s: float = Field(1.0, gt=0, le=60, description="Pause between looks at an empty outbox; a submission here cuts it short.")  # fmt: skip
    lease_s: float = Field(60.0, ge=5, le=3600, description="How long a relay holds what it took; a dead one's orders wait this long.")  # fmt: skip
    backlog_s: float = Field(
        120.0, ge=1, description="Age of the oldest unpublished order from which readiness says so."
    )


class AgentHttpSettings(AccessSettings):
    """Address, bounds and keys."""

    port: int = Field(8090, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    max_body_bytes: int = Field(65_536, ge=1024, description="Largest request body.")
    max_in_flight: int = Field(
        64, ge=1, description="Turns that a process holds at a time, streams included; more are answered 429."
    )
    turn_s: float = Field(60.0, gt=0, le=600, description="Longest time of a turn.")
    page: bool = Field(True, description="Whether to serve the chat page at /chat.")
    shutdown_s: int = Field(15, ge=1, description="Seconds that running turns get at a stop.")


class AgentSection(BaseModel):
    """What is the agent's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    http: AgentHttpSettings = Field(default_factory=AgentHttpSettings)
    catalogue: CatalogueSettings = Field(default_factory=CatalogueSettings)
    planner: PlannerSettings = Field(default_factory=PlannerSettings)
    limits: AgentLimits = Field(default_factory=AgentLimits)
    database: DatabaseSettings = Field(default_factory=DatabaseSettings)
    checkpoints: CheckpointSettings = Field(default_factory=CheckpointSettings)
    orders: OrderSettings = Field(default_factory=OrderSettings)
    observation: ObservationSettings = Field(default_factory=ObservationSettings)


class AgentSettings(ProcessSettings):
    """All settings of an agent process; those beside `agent` are the ones that search and indexer read too."""

    agent: AgentSection = Field(default_factory=AgentSection)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    vectors: VectorSettings = Field(default_factory=VectorSettings)
    encoder: EncoderSettings = Field(default_factory=EncoderSettings)
    text: ReplicaSettings = Field(default_factory=ReplicaSettings)
    search: SearchSettings = Field(default_factory=SearchSettings)
