"""The port to the log, and its adapter for Kafka: durable when the call returns, the order's id as the record's key."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from agent.orders.event import event_id
from agent.orders.outbox import OutboxRow
from runtime.kafka import client_options
from schemas.errors import ConfigurationError, LogUnavailableError
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

EVENT_ID_HEADER: Final = "ferroflux.event_id"
_PUBLISH_S: Final = 20.0
_STOP_S: Final = 5.0
_TOPIC_CONFIG: Final = {
    "cleanup.policy": "delete",
    # An order's record is its only copy for consumers that come later: it is kept for a quarter of a year.
    "retention.ms": "7776000000",
}


class OrderPublisher(Protocol):
    """Where submitted orders go."""

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Append the records; when it returns, the log has all of them for good.

        Raises:
            LogUnavailableError: not all were confirmed; some may be in the log.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class KafkaOrderPublisher:
    """An idempotent producer; every in-sync replica confirms.

    It connects at the first order, so that a broker that is away stops nobody from ordering, and is replaced after a
    failure, since one that lost a batch has a gap in its sequence for good.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka = kafka
        self._topic = topic
        self._producer: Any = None

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Append the records in order; each carries its `ferroflux.event_id`, by which consumers deduplicate."""
        try:
            async with asyncio.timeout(_PUBLISH_S):
                producer = await self._open()
                pending = [
                    await producer.send(
                        self._topic,
                        key=row.order_id.encode(),
                        value=row.payload,
                        headers=[(EVENT_ID_HEADER, event_id(row.tenant, row.order_id).encode())],
                    )
                    for row in rows
                ]
                await asyncio.gather(*pending)
        except (KafkaError, OSError, TimeoutError) as error:
            await self.close()
            raise LogUnavailableError(f"Kafka did not confirm {len(rows)} orders: {type(error).__name__}") from error

    async def close(self) -> None:
        """Flush and disconnect."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await producer.stop()

    async def _open(self) -> Any:
        if self._producer is None:
            if self._kafka.create_topics:
                await self._ensure_topic()
            producer = AIOKafkaProducer(**_connection(self._kafka), acks="all", enable_idempotence=True)
            try:
                await producer.start()
            except BaseException:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _ensure_topic(self) -> None:
        admin = AIOKafkaAdminClient(**_connection(self._kafka))
        try:
            await admin.start()
            if self._topic in await admin.list_topics():
                return
            topic = NewTopic(self._topic, self._kafka.partitions, self._kafka.replication, topic_configs=_TOPIC_CONFIG)
            response = await admin.create_topics([topic])
        finally:
            await admin.close()
        outcome = response.to_object()["topic_errors"][0]
        error = for_code(outcome["error_code"])
        # Another process that starts at the same moment may have been faster.
        if not outcome["error_code"] or error is TopicAlreadyExistsError:
            log.info("topic created", topic=self._topic)
            return
        raise error(outcome.get("error_message") or error.__name__)


def _connection(kafka: KafkaSettings) -> dict[str, Any]:
    options = client_options(kafka)
    if not options["bootstrap_servers"]:
        raise ConfigurationError("kafka.bootstrap names no server, and submitted orders go to Kafka")
    return options
