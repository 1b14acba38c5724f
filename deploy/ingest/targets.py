"""Where change events go: a Kafka cluster, or a running ferroflux over HTTP. Both answer only for what is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError

from deploy.http_client import problem_sentence
from runtime.kafka import client_options
from schemas.errors import ConfigurationError, InvalidRequestError, LogUnavailableError
from schemas.topics import KafkaSettings

_RETRY_FOR_S: Final = 120.0
_FIRST_PAUSE_S: Final = 0.2
_LONGEST_PAUSE_S: Final = 5.0
_HTTP_TIMEOUT_S: Final = 90.0


class EncodedChange(Protocol):
    """A change event in its canonical form: the record key and the JSON value."""

    @property
    def key(self) -> bytes:
        """`tenant/sku`, UTF-8."""
        ...

    @property
    def value(self) -> bytes:
        """The canonical JSON."""
        ...


class ChangeTarget(Protocol):
    """Takes batches of changes; several batches may be on their way at once."""

    name: str

    async def send(self, changes: Sequence[EncodedChange]) -> None:
        """Deliver a batch; durable when it returns. Sending a batch again is harmless.

        Raises:
            LogUnavailableError: the target did not take it for two minutes.
            InvalidRequestError: the target refuses it for what it holds.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class HttpTarget:
    """`POST /v1/changes` of a running ferroflux: answered when the changes are in its journal, which is the back-pressure.

    `lane` is "live", or "bulk" for a load of many, which is indexed when no live change waits.
    """

    def __init__(self, url: str, *, api_key: str = "", lane: str = "live") -> None:
        self._parameters = {} if lane == "live" else {"lane": lane}
        self.name = url.rstrip("/")
        headers = {"content-type": "application/x-ndjson"}
        if api_key:
            headers["authorization"] = f"Bearer {api_key}"
        self._client = httpx.AsyncClient(base_url=self.name, headers=headers, timeout=_HTTP_TIMEOUT_S)

    async def send(self, changes: Sequence[EncodedChange], *, until_indexed: bool = False) -> None:
        """Post one batch, with backoff while the server asks for it or is away."""
        body = b"\n".join(change.value for change in changes)
        parameters = self._parameters | ({"wait": "indexed"} if until_indexed else {})
        pause = _FIRST_PAUSE_S
        deadline = asyncio.get_running_loop().time() + _RETRY_FOR_S
        while True:
            try:
                response = await self._client.post("/v1/changes", content=body, params=parameters)
            except httpx.TransportError as error:
                reason = f"{self.name} cannot be reached ({type(error).__name__})"
            else:
                if response.is_success:
                    return
                reason = problem_sentence(response)
                if response.status_code not in {429, 502, 503, 504}:
                    raise InvalidRequestError(reason)
            if asyncio.get_running_loop().time() + pause > deadline:
                raise LogUnavailableError(f"{reason}; run the command again: it goes on where it stopped")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()


class KafkaTarget:
    """A topic of a Kafka cluster: acknowledged by all in-sync replicas, idempotent, with a bounded number in flight."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self.name = f"kafka://{settings.bootstrap}/{topic}"
        self._settings = settings
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None

    async def send(self, changes: Sequence[EncodedChange]) -> None:
        """Produce one batch and wait for every acknowledgement; aiokafka retries what is safe to retry."""
        assert self._producer is not None, "the target is a context manager"
        try:
            sent = [await self._producer.send(self._topic, change.value, key=change.key) for change in changes]
            await asyncio.gather(*sent)
        except KafkaError as error:
            msg = f"{self.name} did not take the changes ({type(error).__name__}: {error}); run the command again: it goes on where it stopped"
            raise LogUnavailableError(msg) from error

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            **client_options(self._settings), acks="all", enable_idempotence=True, linger_ms=5, compression_type="gzip"
        )
        try:
            await self._producer.start()
        except KafkaConnectionError as error:
            await self._producer.stop()
            msg = f"no Kafka broker answers at {self._settings.bootstrap}: check the address and that it runs"
            raise ConfigurationError(msg) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer is not None:
            await self._producer.stop()
