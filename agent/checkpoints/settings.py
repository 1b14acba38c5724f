"""Which store keeps the threads, and for how long."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


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
