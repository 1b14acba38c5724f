"""One chat model: asked within its time, its answer counted in tokens and money, its failures sorted by kind."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import structlog
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import Runnable

from agent.planners.llm.settings import ModelSettings
from schemas.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_core.language_models.chat_models import BaseChatModel

log = structlog.get_logger(__name__)

_MILLION: Final = Decimal(1_000_000)
_CHARACTERS_A_TOKEN: Final = 3.5
"""For servers that do not say: rather too many tokens than too few, since caps are kept by this count."""

_RATE_LIMITED: Final = 429


class ModelFailedError(Exception):
    """A model gave no usable answer. `reason` is one stable word: timeout, rate_limited, unavailable, refused."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model said, and what it cost. `estimated`: the server did not say how many tokens it were."""

    message: AIMessage
    input_tokens: int
    output_tokens: int
    cost: Decimal
    estimated: bool


class AskedModel:
    """A configured chat model with the agent's tools bound to it."""

    def __init__(self, model: BaseChatModel, tools: Sequence[dict[str, Any]], settings: ModelSettings) -> None:
        self._bound: Runnable[Any, Any] = model.bind_tools(list(tools))
        self._settings = settings

    @property
    def name(self) -> str:
        """The model's name."""
        return self._settings.name

    async def ask(self, messages: Sequence[BaseMessage]) -> ModelAnswer:
        """The model's answer.

        Raises:
            ModelFailedError: it did not come in time, or not at all.
        """
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                message = await (
                    self._streamed(messages) if self._settings.stream else self._bound.ainvoke(list(messages))
                )
        except TimeoutError as error:
            raise ModelFailedError("timeout") from error
        except Exception as error:
            # Providers have an exception tree each; what they share is an HTTP status where there was an answer.
            reason = _reason(error)
            log.warning("model failed", model=self.name, reason=reason, error=type(error).__name__)
            raise ModelFailedError(reason) from error
        if not isinstance(message, AIMessage):
            raise ModelFailedError("unavailable")
        return self._counted(messages, message)

    async def _streamed(self, messages: Sequence[BaseMessage]) -> AIMessage | None:
        whole: AIMessageChunk | None = None
        async for chunk in self._bound.astream(list(messages)):
            whole = chunk if whole is None else whole + chunk
        return whole

    def _counted(self, messages: Sequence[BaseMessage], message: AIMessage) -> ModelAnswer:
        usage = message.usage_metadata
        if usage is not None:
            given, got = usage["input_tokens"], usage["output_tokens"]
        else:
            given = _estimate("".join(str(one.content) for one in messages))
            got = _estimate(f"{message.content}{json.dumps([call['args'] for call in message.tool_calls])}")
        cost = (given * self._settings.input_price + got * self._settings.output_price) / _MILLION
        return ModelAnswer(message, given, got, cost, estimated=usage is None)


def build_model(settings: ModelSettings) -> BaseChatModel:
    """The chat model of the settings.

    Raises:
        ConfigurationError: there is no such provider, its package is absent, or it lacks a key.
    """
    # Importing the providers' packages takes a second: a process without a model is spared it.
    from langchain.chat_models import init_chat_model  # noqa: PLC0415 - see above

    options: dict[str, Any] = {
        "temperature": settings.temperature,
        "timeout": settings.timeout_s,
        "max_retries": 0,
        "max_tokens": settings.max_output_tokens,
    }
    if settings.base_url:
        options["base_url"] = settings.base_url
    if settings.api_key.get_secret_value():
        options["api_key"] = settings.api_key.get_secret_value()
    elif settings.base_url:
        # A server of one's own often wants no key, but the provider's client refuses to be made without one.
        options["api_key"] = "none"
    if settings.provider == "openai":
        options["stream_usage"] = True
    try:
        model: BaseChatModel = init_chat_model(settings.name, model_provider=settings.provider, **options)
    except Exception as error:
        # The provider's own words may hold the key.
        raise ConfigurationError(
            f"the model {settings.name!r} of provider {settings.provider!r} cannot be used ({type(error).__name__}): "
            "install the provider's LangChain package, and set its key"
        ) from error
    return model


def _reason(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    if status == _RATE_LIMITED:
        return "rate_limited"
    if "timeout" in type(error).__name__.lower():
        return "timeout"
    if isinstance(status, int) and 400 <= status < 500:
        return "refused"
    return "unavailable"


def _estimate(text: str) -> int:
    return math.ceil(len(text) / _CHARACTERS_A_TOKEN)
