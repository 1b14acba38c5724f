"""Which language models plan, and what they may cost."""

from decimal import Decimal
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


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
    """The cascade: `cheap` is asked first, `strong` where the first answer is in doubt, the built-in planner otherwise."""

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
        0.85, ge=0, le=1, description="Confidence of the built-in reading from which a model that reads otherwise is in doubt."
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
