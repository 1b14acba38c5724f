"""How the chat API is served, and who may call it."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from schemas.identity import tenant_id


class AgentHttpSettings(BaseModel):
    """Address, bounds and keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8090, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    max_body_bytes: int = Field(65_536, ge=1024, description="Largest request body.")
    max_in_flight: int = Field(
        64, ge=1, description="Turns that a process holds at a time, streams included; more are answered 429."
    )
    turn_s: float = Field(60.0, gt=0, le=600, description="Longest time of a turn.")
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins whose pages may call the API; none: same origin only."
    )
    api_keys: dict[str, tuple[SecretStr, ...]] = Field(
        default_factory=dict,
        description="Keys by tenant. Empty: no key is asked for. Else every call needs one of its tenant's keys, as "
        "`Authorization: Bearer` or `X-API-Key`.",
    )
    page: bool = Field(True, description="Whether to serve the chat page at /chat.")
    shutdown_s: int = Field(15, ge=1, description="Seconds that running turns get at a stop.")

    @model_validator(mode="after")
    def _keys_are_usable(self) -> Self:
        for tenant, keys in self.api_keys.items():
            tenant_id(tenant)
            if not keys or any(len(key.get_secret_value()) < 16 for key in keys):
                raise ValueError(f"api_keys of tenant {tenant}: give at least one key, each of 16 characters or more")
        return self
