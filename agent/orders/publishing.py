"""The port to the log, and its adapter for Kafka: durable when the call returns, the order's id as the record's key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import structlog
from aiokafka.errors import KafkaError

from agent.conversation.limits import LARGEST_ORDER_BYTES, RECORD_ROOM, OrderSizeLimit
from agent.orders.event import event_id
from agent.orders.outbox import OutboxRow
from runtime.kafka.clients import administering, bootstrap_servers
from runtime.kafka.log_writer import LogWriter, OutboundRecord
from runtime.kafka.topics import LARGEST, POLICY, create_topics, describe_topics, largest_records
from schemas.errors import ConfigurationError, FerrofluxError, LogUnavailableError, PoisonError
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

EVENT_ID_HEADER: Final = "ferroflux.event_id"
_PUBLISH_S: Final = 20.0
_TOPIC_CONFIG: Final = {
    POLICY: "delete",
    # An order's record is its only copy for consumers that come later: it is kept for a quarter of a year.
    "retention.ms": "7776000000",
    # Whatever the setting for orders is raised to, the topic has room for it.
    LARGEST: str(LARGEST_ORDER_BYTES + RECORD_ROOM),
}


class OrdersRefusedError(FerrofluxError):
    """The log will never take some of these orders as they are; it has all the others. They are set apart with the reason: see `ferroflux orders list --set-apart`."""

    code = "orders_refused"

    def __init__(self, refusals: Mapping[OutboxRow, PoisonError]) -> None:
        super().__init__()
        self.refusals = dict(refusals)


class OrderPublisher(Protocol):
    """Where submitted orders go."""

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Append the records; when it returns, the log has all of them for good.

        Raises:
            OrdersRefusedError: it will never take some of them; it has all others for good.
            LogUnavailableError: not all were confirmed; some may be in the log.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class KafkaOrderPublisher:
    """The shared idempotent producer on the orders topic, which is made where it is absent and asked what it takes.

    It connects at the first order or at `prepare`, so that a broker that is away stops nobody from ordering.
    """

    def __init__(self, kafka: KafkaSettings, topic: str, size_limit: OrderSizeLimit | None = None) -> None:
        self._kafka = kafka
        self._topic = topic
        self._size_limit = size_limit or OrderSizeLimit(LARGEST_ORDER_BYTES)
        self._writer = LogWriter(kafka, timeout_s=_PUBLISH_S)
        self._prepared = False

    async def prepare(self) -> None:
        """Make the topic where it is absent, and learn how large a record it takes.

        Raises:
            LogUnavailableError: no broker answered.
            ConfigurationError: the settings name no broker, or the cluster refuses to create the topic.
        """
        if self._prepared:
            return
        if not bootstrap_servers(self._kafka):
            raise ConfigurationError("kafka.bootstrap names no server, and submitted orders go to Kafka")
        async with administering(self._kafka) as admin:
            if self._kafka.create_topics:
                await create_topics(admin, self._kafka, {self._topic: _TOPIC_CONFIG})
            largest = await self._largest(admin)
        if largest is not None:
            self._follow(largest)
        self._prepared = True

    async def publish(self, rows: Sequence[OutboxRow]) -> None:
        """Append the records in order; each carries its `ferroflux.event_id`, by which consumers deduplicate."""
        await self.prepare()
        records = [
            OutboundRecord(
                row.order_id.encode(),
                row.payload,
                [(EVENT_ID_HEADER, event_id(row.tenant, row.order_id).encode())],
            )
            for row in rows
        ]
        try:
            outcomes = await self._writer.append_each(self._topic, records)
        except LogUnavailableError:
            # The topic may have been made anew, with another limit.
            self._prepared = False
            raise
        refusals = {row: refusal for row, refusal in zip(rows, outcomes, strict=True) if refusal is not None}
        if refusals:
            self._prepared = False
            raise OrdersRefusedError(refusals)

    async def close(self) -> None:
        """Flush and disconnect."""
        await self._writer.stop()

    async def _largest(self, admin: Any) -> int | None:
        """What the topic takes, in bytes; None where the broker does not tell."""
        try:
            described = await describe_topics(admin, [self._topic])
        except (KafkaError, LogUnavailableError) as error:
            # The embedded broker has no such request, and no such limit; a topic that is not ours to make may come with its first record.
            log.debug("the broker does not tell a topic's limit", topic=self._topic, error=repr(error))
            return None
        return largest_records(described).get(self._topic)

    def _follow(self, largest: int) -> None:
        self._writer.carries({self._topic: largest})
        if self._size_limit.follow(largest):
            return
        wanted = self._size_limit.wanted + RECORD_ROOM
        log.warning(
            "the orders topic takes smaller records than the agent would: orders are bounded by the topic",
            topic=self._topic,
            takes=largest,
            wanted=wanted,
            remedy=f"kafka-configs.sh --alter --entity-type topics --entity-name {self._topic} "
            f"--add-config {LARGEST}={wanted}, or lower FERROFLUX_AGENT__LIMITS__ORDER_BYTES to {self._size_limit.bytes}",
        )
