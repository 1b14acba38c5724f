"""The agent's settings: environment variables `FERROFLUX_AGENT__<SECTION>__<NAME>`, and the shared ones of Kafka and stores."""

from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.api.settings import AgentHttpSettings
from agent.checkpoints.settings import CheckpointSettings
from agent.conversation.limits import AgentLimits
from agent.observation.spans import ObservationSettings
from agent.orders.settings import OrderSettings
from agent.planners.llm.settings import PlannerSettings
from agent.storage.settings import DatabaseSettings
from retrieval.encoders.settings import EncoderSettings
from retrieval.search.settings import SearchSettings
from retrieval.text.settings import TextIndexSettings
from retrieval.vectors.settings import VectorSettings
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


class AgentSettings(BaseSettings):
    """All settings of an agent process; those beside `agent` are the ones that search and indexer read too."""

    model_config = SettingsConfigDict(
        hide_input_in_errors=True,
        env_prefix="FERROFLUX_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    agent: AgentSection = Field(default_factory=AgentSection)
    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    vectors: VectorSettings = Field(default_factory=VectorSettings)
    encoder: EncoderSettings = Field(default_factory=EncoderSettings)
    text: ReplicaSettings = Field(default_factory=ReplicaSettings)
    search: SearchSettings = Field(default_factory=SearchSettings)
