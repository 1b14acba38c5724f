"""aiokafka's clients as every process has them: our options and security, errors in our words, a stop that no broker holds up."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, Self

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerClosed

from schemas.errors import LogUnavailableError
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

_STOP_S: Final = 5.0


async def open_producer(settings: KafkaSettings, **options: Any) -> Any:
    """A producer whose records are confirmed when all in-sync replicas have them; end it with `stopped`.

    Raises:
        LogUnavailableError: no broker answered.
    """
    return await _started(AIOKafkaProducer(**client_options(settings), acks="all", **options), settings)


async def open_consumer(settings: KafkaSettings, **options: Any) -> Any:
    """A consumer that commits nothing unasked and reads committed records, save where `options` say otherwise; end it with `stopped`.

    Raises:
        LogUnavailableError: no broker answered.
    """
    ours = {"enable_auto_commit": False, "isolation_level": "read_committed"}
    return await _started(AIOKafkaConsumer(**client_options(settings), **(ours | options)), settings)


async def open_admin(settings: KafkaSettings, **options: Any) -> Any:
    """An admin client; end it with `stopped`.

    Raises:
        LogUnavailableError: no broker answered.
    """
    return await _started(AIOKafkaAdminClient(**client_options(settings), **options), settings)


@asynccontextmanager
async def consuming(settings: KafkaSettings, **options: Any) -> AsyncIterator[Any]:
    """A consumer for the time of a `with`, within which aiokafka's errors are LogUnavailableErrors."""
    consumer = await open_consumer(settings, **options)
    try:
        with answering(settings):
            yield consumer
    finally:
        await stopped(consumer)


@asynccontextmanager
async def administering(settings: KafkaSettings, **options: Any) -> AsyncIterator[Any]:
    """An admin client for the time of a `with`, within which aiokafka's errors are LogUnavailableErrors."""
    client = await open_admin(settings, **options)
    try:
        with answering(settings):
            yield client
    finally:
        await stopped(client)


class AdminSession:
    """What asks a cluster through a short-lived admin client: open it with `async with`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client: Any = None

    async def __aenter__(self) -> Self:
        self._client = await open_admin(self._settings)
        return self

    async def __aexit__(self, *_: object) -> None:
        await stopped(self._client)


@contextmanager
def answering(settings: KafkaSettings) -> Iterator[None]:
    """Whatever aiokafka raises within is a LogUnavailableError that names the servers."""
    try:
        yield
    except (KafkaError, OSError) as error:
        raise LogUnavailableError(f"Kafka at {settings.bootstrap} did not answer: {error!r}") from error


async def fetched(consumer: Any, **options: Any) -> Any:
    """`getmany`, which would wait for ever for a fetch loop that has ended.

    Raises:
        KafkaError: the fetch loop ended, or what `getmany` raises.
    """
    batches = await consumer.getmany(**options)
    if not batches and (ended := ended_fetch_loop(consumer)) is not None:
        raise KafkaError("the consumer's fetch loop ended") from (None if ended.cancelled() else ended.exception())
    return batches


def ended_fetch_loop(consumer: Any) -> asyncio.Task[Any] | None:
    """The task that fetches for a consumer, where it has ended: aiokafka logs its error, and tells nobody who reads."""
    task = getattr(getattr(consumer, "_fetcher", None), "_fetch_task", None)
    return task if task is not None and task.done() else None


def _send(connection: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
    try:
        return _AIOKAFKA_SEND(connection, request, expect_response)
    except RuntimeError as error:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"Connection at {connection.host}:{connection.port} broken: {error}") from error


_AIOKAFKA_SEND: Final = AIOKafkaConnection.send
# Between the loss of a connection and aiokafka's notice of it, uvloop's transport refuses a write with a RuntimeError, where
# asyncio's has an OSError. aiokafka 0.14 expects only that: the fetch loop ended, and its consumer read nothing ever after.
AIOKafkaConnection.send = _send


async def stopped(client: Any) -> None:
    """Stop a client in order, or abandon it after five seconds with what it holds. None is no client; nothing is raised.

    In a task of its own: where a consumer's fetch waits to be tried again, aiokafka 0.14 lets the cancellation of that fetch
    escape from `stop()`, which would be taken for ours, and leaves its connections open.
    """
    if client is None:
        return
    stopping = asyncio.create_task(_stop(client))
    try:
        await asyncio.wait([stopping])
    finally:
        stopping.cancel()
    if stopping.cancelled() or stopping.exception() is not None:
        log.debug("a Kafka client did not stop in order; its connections are closed", client=type(client).__name__)
        await _abandon(client)


async def _stop(client: Any) -> None:
    async with asyncio.timeout(_STOP_S):
        await (client.stop() if hasattr(client, "stop") else client.close())


async def _abandon(client: Any) -> None:
    """Close the connections; a producer drops what it could not flush.

    It would send that once the broker is back, when its successor may have sent something newer of the same products, and
    aiokafka itself has no way to drop it: the sender tries again for as long as it lives.
    """
    sender = getattr(client, "_sender", None)
    if sender is not None:
        if sender.sender_task is not None:
            sender.sender_task.cancel()
        client._message_accumulator.fail_all(ProducerClosed())  # noqa: SLF001
    connections = client.client if hasattr(client, "client") else client._client  # noqa: SLF001
    with suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(_STOP_S):
            await connections.close()


async def _started(client: Any, settings: KafkaSettings) -> Any:
    try:
        with answering(settings):
            await client.start()
    except BaseException:
        await stopped(client)
        raise
    return client


def bootstrap_servers(settings: KafkaSettings) -> list[str]:
    """The bootstrap servers as aiokafka takes them."""
    return [server.strip() for server in settings.bootstrap.split(",") if server.strip()]


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Options that every aiokafka client takes: servers and security."""
    options: dict[str, Any] = {
        "bootstrap_servers": bootstrap_servers(settings),
        "security_protocol": settings.security_protocol,
    }
    if "SASL" in settings.security_protocol:
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    context = ssl_context(settings)
    if context is not None:
        options["ssl_context"] = context
    return options


def librdkafka_options(settings: KafkaSettings) -> dict[str, Any]:
    """What `client_options` says to aiokafka, in librdkafka's words; its own log stays silent, since we tell."""
    options: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap,
        "security.protocol": settings.security_protocol,
        "log_level": 0,
    }
    if "SASL" in settings.security_protocol:
        options |= {
            "sasl.mechanism": settings.sasl_mechanism,
            "sasl.username": settings.sasl_username,
            "sasl.password": settings.sasl_password.get_secret_value(),
        }
    if "SSL" in settings.security_protocol and settings.ssl_cafile:
        options["ssl.ca.location"] = settings.ssl_cafile
    return options


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext | None:
    """A context that verifies the brokers, by the given authority or the system's; None where the protocol has no TLS."""
    if "SSL" not in settings.security_protocol:
        return None
    return ssl.create_default_context(cafile=settings.ssl_cafile or None)
