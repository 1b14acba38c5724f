"""Settings that our processes share: how they are read, and who may call an HTTP face, the same for search and chat."""

from __future__ import annotations

from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.api.routes import BARE, OF_A_TENANT, Role
from schemas.identity import tenant_id

SHORTEST_KEY: Final = 16
SYMMETRIC: Final = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Algorithms of a shared secret, and how many bytes that has at least (RFC 7518, 3.2)."""
ASYMMETRIC: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)


class ProcessSettings(BaseSettings):
    """All settings of a process, from variables that begin with `FERROFLUX_`, with `__` between levels."""

    model_config = SettingsConfigDict(
        hide_input_in_errors=True,
        env_prefix="FERROFLUX_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )


class KeyGrant(BaseModel):
    """A key and what it may do. Written as a bare text it has the roles `search` and `chat`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: SecretStr
    roles: frozenset[Role] = Field(min_length=1)
    bare: bool = Field(False, exclude=True, init=False)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, raw: Any) -> Any:
        if isinstance(raw, str | SecretStr):
            return {"key": raw, "roles": BARE, "bare": True}
        if isinstance(raw, dict) and "bare" in raw:
            raise ValueError("a grant holds `key` and `roles`")
        return raw


class CustomerTokens(BaseModel):
    """How the tokens of one shop's customers are checked: by a secret that the shop's server shares, or by its published keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    secret: SecretStr = Field(SecretStr(""), description="Shared secret; for HS256, HS384, HS512.")
    jwks_url: str = Field("", description="Where the issuer publishes its keys; for RS…, PS…, ES…, EdDSA.")
    algorithms: tuple[str, ...] = Field((), description="Accepted algorithms; empty: HS256, or RS256 and ES256.")
    audience: str = Field(min_length=1, description="What `aud` must hold.")
    issuer: str = Field("", description="What `iss` must be; empty: not looked at.")
    claim: str = Field("sub", min_length=1, description="The claim that names the customer.")
    leeway_s: float = Field(30.0, ge=0, le=300, description="How far the issuer's clock may be off.")
    timeout_s: float = Field(3.0, gt=0, le=30, description="Seconds for fetching the keys.")

    @model_validator(mode="after")
    def _one_kind_of_key(self) -> Self:
        secret = self.secret.get_secret_value()
        if bool(secret) == bool(self.jwks_url):
            raise ValueError("give either `secret` or `jwks_url`")
        if self.jwks_url and not self.jwks_url.startswith(("https://", "http://")):
            raise ValueError("jwks_url begins with https://, or http:// inside of one's own network")
        # A public key that is taken for a shared secret would let anybody sign.
        fitting = tuple(SYMMETRIC) if secret else ASYMMETRIC
        strange = [name for name in self.algorithms if name not in fitting]
        if strange:
            raise ValueError(f"algorithms: {', '.join(strange)} is none of {', '.join(fitting)}")
        shortest = max(SYMMETRIC[name] for name in self.accepted) if secret else 0
        if len(secret.encode()) < shortest:
            raise ValueError(f"the secret of customers' tokens has {shortest} bytes or more")
        return self

    @property
    def accepted(self) -> tuple[str, ...]:
        """The algorithms that a token may be signed with."""
        return self.algorithms or (("HS256",) if self.secret.get_secret_value() else ("RS256", "ES256"))


class AccessSettings(BaseModel):
    """Where an HTTP face listens, and for whom."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(
        "127.0.0.1", description="Address to listen on; another than this machine's own needs keys, or `INSECURE_OPEN`."
    )
    api_keys: dict[str, tuple[KeyGrant, ...]] = Field(
        default_factory=dict,
        description="Keys by tenant. Empty: no key is asked for. Else every call needs one, as `Authorization: Bearer` or "
        '`X-API-Key`. `{"norte": [{"key": "…", "roles": ["search", "write"]}]}`; roles are search, chat, orders, write, operate; '
        "a key without roles may search and chat.",
    )
    admin_keys: tuple[SecretStr, ...] = Field(
        (), description="Keys of the installation: they hold every role for every tenant."
    )
    customers: dict[str, CustomerTokens] = Field(
        default_factory=dict,
        description="By tenant, how its customers' tokens (JWT, in `X-Customer-Token`) are checked: `secret` or `jwks_url`, "
        "`audience`, and, where wanted, `algorithms`, `issuer`, `claim`, `leeway_s`, `timeout_s`.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Names by which a process without keys may be called, beside `localhost`, `127.0.0.1`, `[::1]` and the address that it listens on.",
    )
    insecure_open: bool = Field(
        False,
        description="Listen on any address without keys: whoever reaches the port may read and change everything.",
    )
    cors_origins: tuple[str, ...] = Field(
        (), description="Origins of shops whose pages may call the API; none: same origin only."
    )

    @model_validator(mode="after")
    def _keys_are_usable(self) -> Self:
        for tenant, grants in self.api_keys.items():
            tenant_id(tenant)
            if not grants or any(_is_short(grant.key) for grant in grants):
                raise ValueError(
                    f"api_keys of tenant {tenant}: give at least one key, each of {SHORTEST_KEY} characters or more"
                )
            if any(not grant.roles <= OF_A_TENANT for grant in grants):
                raise ValueError(
                    f"api_keys of tenant {tenant}: `admin` is of the installation; put the key under admin_keys"
                )
        if any(map(_is_short, self.admin_keys)):
            raise ValueError(f"admin_keys: each key has {SHORTEST_KEY} characters or more")
        for tenant in self.customers:
            tenant_id(tenant)
        return self

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for."""
        return not self.api_keys and not self.admin_keys

    @property
    def bare_tenants(self) -> tuple[str, ...]:
        """Tenants with a key that is written without roles."""
        return tuple(tenant for tenant, grants in self.api_keys.items() if any(grant.bare for grant in grants))


def _is_short(key: SecretStr) -> bool:
    return len(key.get_secret_value()) < SHORTEST_KEY
