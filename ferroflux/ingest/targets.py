"""Where change events go: a Kafka cluster, or a running ferroflux over HTTP. Both answer only for what is durable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Protocol, Self

import httpx

from ferroflux.http_client import RETRY_FOR_S, PatientClient, problem_sentence
from runtime.kafka.log_writer import LogWriter, OutboundRecord
from schemas.api.limits import MAX_CHANGE_BYTES
from schemas.errors import (
    ConfigurationError,
    InvalidRequestError,
    LogUnavailableError,
    PoisonError,
    RecordRefusedError,
    RecordTooLargeError,
)
from schemas.events.parser import MAX_EVENT_BYTES
from schemas.topics import KafkaSettings

_REFUSES_CONTENT: Final[Mapping[int, type[PoisonError]]] = {413: RecordTooLargeError, 422: RecordRefusedError}
"""What the server says of the changes. Anything else that is no success, it says of us."""
_REFUSED_IN_A_ROW: Final = 50
"""Changes refused one after another, from which on it is no matter of theirs: a server of another release, say."""


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
    largest_change_bytes: int
    """Of a change's JSON; a larger one is refused."""

    async def send(self, changes: Sequence[EncodedChange]) -> None:
        """Deliver a batch; durable when it returns. Sending a batch again is harmless.

        Raises:
            LogUnavailableError: the target did not take it for two minutes.
            InvalidRequestError: the target refuses a change for what it holds, or us.
        """
        ...

    async def send_each(self, changes: Sequence[EncodedChange]) -> Sequence[PoisonError | None]:
        """Deliver what the target takes; for each change None where it is durable, or why it never will be.

        Raises:
            LogUnavailableError: the target did not answer for two minutes.
            InvalidRequestError: the target refuses us, or one change after another.
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

    largest_change_bytes = MAX_CHANGE_BYTES

    def __init__(
        self, url: str, *, api_key: str = "", lane: str = "live", transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._parameters = {} if lane == "live" else {"lane": lane}
        self._client = PatientClient(url, media_type="application/x-ndjson", api_key=api_key, transport=transport)
        self.name = self._client.url
        self._refused_in_a_row = 0

    async def send(self, changes: Sequence[EncodedChange], *, until_indexed: bool = False) -> None:
        """Post one batch, with backoff while the server asks for it or is away."""
        refusal = await self._post(changes, until_indexed=until_indexed)
        if refusal is not None:
            raise InvalidRequestError(str(refusal))

    async def send_each(self, changes: Sequence[EncodedChange]) -> list[PoisonError | None]:
        """Post a batch; where the server refuses it, its halves, until the changes are found that it refuses.

        A request is taken as a whole or not at all. The server's limits need not be ours: a proxy before it has its own.
        """
        refusal = await self._post(changes)
        if refusal is None:
            self._refused_in_a_row = 0
            return [None] * len(changes)
        if len(changes) == 1:
            self._refused_in_a_row += 1
            if self._refused_in_a_row >= _REFUSED_IN_A_ROW:
                raise InvalidRequestError(
                    f"{self.name} refused {_REFUSED_IN_A_ROW} changes in a row, the last: {refusal}"
                )
            return [refusal]
        half = len(changes) // 2
        return [*await self.send_each(changes[:half]), *await self.send_each(changes[half:])]

    async def _post(self, changes: Sequence[EncodedChange], *, until_indexed: bool = False) -> PoisonError | None:
        """Post a batch once it is taken; why it is refused, where that is for what it holds."""
        body = b"\n".join(change.value for change in changes)
        parameters = self._parameters | ({"wait": "indexed"} if until_indexed else {})
        response = await self._client.post("/v1/changes", body, parameters)
        if response.is_success:
            return None
        reason = problem_sentence(response)
        if response.status_code in _REFUSES_CONTENT:
            return _REFUSES_CONTENT[response.status_code](reason)
        raise InvalidRequestError(reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


class KafkaTarget:
    """A topic of a Kafka cluster: acknowledged by all in-sync replicas, idempotent, with a bounded number in flight."""

    largest_change_bytes = MAX_EVENT_BYTES

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self.name = f"kafka://{settings.bootstrap}/{topic}"
        self._settings = settings
        self._topic = topic
        self._log = LogWriter(settings, timeout_s=RETRY_FOR_S)

    async def send(self, changes: Sequence[EncodedChange]) -> None:
        """Produce one batch and wait for every acknowledgement."""
        refusals = await self.send_each(changes)
        for refusal in filter(None, refusals):
            raise InvalidRequestError(str(refusal))

    async def send_each(self, changes: Sequence[EncodedChange]) -> list[PoisonError | None]:
        """Produce what the topic takes; a batch that it refuses goes record by record."""
        try:
            return await self._log.append_each(
                self._topic, [OutboundRecord(change.key, change.value, []) for change in changes]
            )
        except LogUnavailableError as error:
            msg = f"{self.name} did not take the changes ({error}); run the command again: it goes on where it stopped"
            raise LogUnavailableError(msg) from error

    async def __aenter__(self) -> Self:
        try:
            await self._log.start()
        except LogUnavailableError as error:
            msg = f"no Kafka broker answers at {self._settings.bootstrap}: check the address and that it runs"
            raise ConfigurationError(msg) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._log.stop()
