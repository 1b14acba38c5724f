"""The consumer: FastStream on aiokafka, raw batches, explicit commits, and a rebalance listener that ends the lease.

What is set, and why:

- `AckPolicy.MANUAL` and a parser of our own. FastStream's default commits before the handler runs; its parser decodes
  header values as UTF-8 text, and a null or binary one (Kafka Connect writes both) makes it drop the whole batch in
  silence. Ours looks at nothing: records go to the runner as they are.
- `fetch_max_wait_ms` is short. A fetch that waits at the broker holds no partition whose records are still being
  worked on, and aiokafka sends no second one to that broker meanwhile: with the default of 500 ms, a change that comes
  during a batch would wait for half a second.
- `batch_timeout_ms` is short, too: FastStream sleeps that long after a poll that returned nothing.
- Live changes go before bulk loads, which have a topic of their own (`indexer/consuming/lanes.py`).
- `metadata_max_age_ms` is short: a partition that an operator adds is noticed by looking again, and the default of five
  minutes is how long its first changes would wait.
- `auto_offset_reset` is "earliest": a new group takes the whole log in.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import structlog
from aiokafka import ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.annotations import KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER
from faststream.kafka.message import KafkaMessage as RawBatch
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from indexer.consuming.lanes import SMALLEST_LIVE_SLICE, Lanes, SliceLength
from indexer.consuming.publish_lock import PublishLock
from indexer.ports import LeaseLostError
from indexer.readiness import ConsumerHealth
from indexer.records import InboundRecord, TopicPartition, first_offsets, next_offsets
from indexer.settings import ConsumerSettings
from runtime.kafka.clients import bootstrap_servers, ended_fetch_loop, ssl_context
from schemas.errors import FatalError, LogUnavailableError
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

Handler = Callable[[Sequence[InboundRecord]], Awaitable[bool]]
"""Works a batch to its end; False where it was not done."""

_SASL: Final = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}
_LOG_APPEND_TIME: Final = 1
"""Kafka's timestamp type of topics whose times are the brokers'."""
_WATCH_SECONDS: Final = 0.5
"""How soon a consume loop that ended is noticed: the library tells nobody."""
_COMMIT_SECONDS: Final = 10.0
_MORE_MS: Final = 20
"""How long a fetch of records that are there is waited for."""
_POSITION_SECONDS: Final = 0.2
_ENDS_SECONDS: Final = 1.0


class ConsumerEndedError(FatalError):
    """The consumer of the change topics ended by a defect. Nothing was committed that was not done: start again, and it reads on from there. The log has the traceback."""

    code = "consumer_ended"


class ChangeConsumer:
    """One member of the consumer group. It is the `PartitionControl` of the batches that it hands out."""

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: ConsumerSettings,
        *,
        lock: PublishLock,
        progress: ConsumerHealth,
        beside: Callable[[str], str] = lambda _: "",
    ) -> None:
        """`beside` gives the text that is committed with an offset of a topic (`indexer.identity`)."""
        self._beside = beside
        self._settings = settings
        self._progress = progress
        self._lock = lock
        self._bulk_topic = kafka.topics.bulk
        self._lanes: Lanes | None = None
        self._fault: Exception | None = None
        self._stopping = asyncio.Event()
        self._done: dict[TopicPartition, int] = {}
        self._taken: dict[TopicPartition, int] = {}
        """Next offsets after the records that were ever handed out: beyond them there is nothing in hand."""
        self.broker = KafkaBroker(
            bootstrap_servers(kafka),
            security=_security(kafka),
            consumer_only=True,
            graceful_timeout=settings.stop_grace_s,
            logger=_faststream_log(),
            log_level=logging.DEBUG,
            client_id=settings.client_id,
            metadata_max_age_ms=int(settings.metadata_age_s * 1000),
        )
        self._subscriber = self.broker.subscriber(
            *kafka.topics.consumed,
            batch=True,
            group_id=settings.group_id,
            group_instance_id=settings.group_instance_id,
            ack_policy=AckPolicy.MANUAL,
            auto_offset_reset="earliest",
            max_records=settings.batch_records,
            batch_timeout_ms=settings.poll_ms,
            fetch_max_wait_ms=settings.fetch_wait_ms,
            max_partition_fetch_bytes=settings.partition_fetch_bytes,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.session_timeout_ms // 5,
            rebalance_timeout_ms=settings.rebalance_timeout_ms,
            listener=RevocationListener(lock, progress, grace_s=settings.revoke_grace_s, forget=self._forget),
            parser=_take_as_it_is,
            decoder=_decode_nothing,
            no_reply=True,
        )

    def handle_with(self, handler: Handler) -> None:
        """Give batches to `handler`, one at a time, in the order of each partition. Call it once, before `start`.

        A batch is of one lane: live changes, or a piece of a bulk load that is short enough to keep none waiting long.
        """
        settings = self._settings
        lanes = self._lanes = Lanes(
            handler,
            self,
            bulk_topic=self._bulk_topic,
            live_turns=settings.live_turns,
            slice_length=SliceLength(settings.bulk_slice_s, settings.batch_records),
            live_length=None
            if settings.live_slice_s is None
            else SliceLength(settings.live_slice_s, settings.batch_records, smallest=SMALLEST_LIVE_SLICE),
        )

        async def changes(message: KafkaMessage) -> None:
            if self._ended_loop() is not None:
                # FastStream begins a loop that failed once more; the failed one may have taken records that nobody saw.
                await self._stopping.wait()
                return
            try:
                await lanes.take(self._taking([inbound(record) for record in message.raw_message]))
            except Exception as error:
                # FastStream would swallow it and go on with the next batch, whose commit would skip this one.
                log.exception("consumer failed")
                self._fault = error
                await self._stopping.wait()

        self._subscriber(changes)

    async def start(self) -> None:
        """Join the group and begin to poll.

        Raises:
            LogUnavailableError: no broker answered.
        """
        try:
            await self.broker.start()
        except (KafkaError, OSError) as error:
            await self.broker.stop()
            raise LogUnavailableError(f"Kafka did not let the consumer in: {error!r}") from error

    async def watch(self) -> None:
        """Wait for an end of the consume loop that nobody asked for.

        Raises:
            ConsumerEndedError: it ended, or a batch was given up by a defect.
        """
        while True:
            ended = self._ended_loop()
            if self._fault is not None or ended is not None or not self._subscriber.tasks:
                error = self._fault
                if error is None and ended is not None and not ended.cancelled():
                    failure = ended.exception()
                    error = failure if isinstance(failure, Exception) else None
                if error is not None and self._fault is None:
                    log.error("consume loop ended", exc_info=error)
                raise ConsumerEndedError from error
            await asyncio.sleep(_WATCH_SECONDS)

    async def stop(self) -> None:
        """Finish the batch in progress, up to the settings' grace, then leave the group."""
        self._stopping.set()
        if self._lanes is not None:
            self._lanes.stop()
        await self.broker.stop()

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Commit explicit offsets for exactly these partitions."""
        offsets = {
            KafkaPartition(topic, partition): (offset, self._beside(topic))
            for (topic, partition), offset in next_offsets.items()
        }
        try:
            async with asyncio.timeout(_COMMIT_SECONDS):
                await self._consumer().commit(offsets)
        except (IllegalStateError, CommitFailedError) as error:
            raise LeaseLostError from error
        except (KafkaError, TimeoutError) as error:
            raise LogUnavailableError(f"Kafka did not confirm a commit: {error!r}") from error
        self._done.update(next_offsets)

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read these partitions again from these offsets; whatever was fetched beyond is dropped."""
        consumer = self._consumer()
        assigned = consumer.assignment()
        for (topic, partition), offset in offsets.items():
            place = KafkaPartition(topic, partition)
            if place in assigned:
                consumer.seek(place, offset)

    @property
    def revocations(self) -> int:
        """Grows with every revocation."""
        return self._lock.revocations

    async def poll_live(self) -> Sequence[InboundRecord]:
        """Records of the live topics that a fetch has brought already."""
        consumer = self._consumer()
        live = [place for place in consumer.assignment() if place.topic != self._bulk_topic]
        if not live:
            return ()
        fetched = await consumer.getmany(*live, timeout_ms=0, max_records=self._settings.batch_records)
        return self._taking([inbound(record) for records in fetched.values() for record in records])

    async def more_live(self) -> Sequence[InboundRecord]:
        """Records of the live topics that lie in the log beyond those that were taken, by what the last fetches said of its end."""
        consumer = self._consumer()
        behind = [
            place
            for place in consumer.assignment()
            if place.topic != self._bulk_topic
            and self._taken.get((place.topic, place.partition), 0) < (consumer.highwater(place) or 0)
        ]
        if not behind:
            return ()
        fetched = await consumer.getmany(*behind, timeout_ms=_MORE_MS, max_records=self._settings.batch_records)
        return self._taking([inbound(record) for records in fetched.values() for record in records])

    async def lag(self) -> dict[TopicPartition, int]:
        """Records per assigned partition that are not processed yet.

        The brokers are asked where the partitions end: what the newest fetch said of it is old while we lag, since
        nothing is fetched before the records at hand are worked off.
        """
        consumer: Any = self._subscriber.consumer
        if consumer is None:
            return {}
        lag: dict[TopicPartition, int] = {}
        ends = await self._ends(consumer)
        for place in consumer.assignment():
            end = ends.get(place, consumer.highwater(place))
            if end is None:
                continue
            key = (place.topic, place.partition)
            done = self._done.get(key)
            if done is None:
                done = await self._position(consumer, place)
            elif done < end and done >= self._taken.get(key, 0):
                # With nothing in hand, the fetch may have passed what no one is given: the marker of a transaction.
                done = max(done, await self._position(consumer, place) or 0)
            if done is not None:
                lag[place.topic, place.partition] = max(0, end - done)
        return lag

    def seconds_since_fetch(self, now_us: int) -> float | None:
        """How long ago the brokers last answered a fetch of any partition; None where none was answered yet."""
        consumer: Any = self._subscriber.consumer
        if consumer is None:
            return None
        answered = [consumer.last_poll_timestamp(place) for place in consumer.assignment()]
        known = [milliseconds for milliseconds in answered if milliseconds is not None]
        return max(0.0, now_us / 1e6 - max(known) / 1e3) if known else None

    def _ended_loop(self) -> asyncio.Task[Any] | None:
        return next((task for task in self._subscriber.tasks if task.done()), None) or ended_fetch_loop(
            self._subscriber.consumer
        )

    def _taking(self, records: list[InboundRecord]) -> list[InboundRecord]:
        for place, first in first_offsets(records).items():
            # Before its first commit a partition stands where we began; the fetch's position is already past what is in hand.
            self._done.setdefault(place, first)
        self._taken |= next_offsets(records)
        return records

    def _forget(self) -> None:
        self._done.clear()
        self._taken.clear()

    async def _ends(self, consumer: Any) -> Mapping[KafkaPartition, int]:
        """Where the assigned partitions end; of none where the brokers do not say so at once."""
        try:
            async with asyncio.timeout(_ENDS_SECONDS):
                ends: Mapping[KafkaPartition, int] = await consumer.end_offsets(list(consumer.assignment()))
        except (TimeoutError, KafkaError):
            return {}
        return ends

    async def _position(self, consumer: Any, place: KafkaPartition) -> int | None:
        try:
            async with asyncio.timeout(_POSITION_SECONDS):
                position: int = await consumer.position(place)
        except (TimeoutError, IllegalStateError):
            # Between a rebalance and the first fetch there is none.
            return None
        return position

    def _consumer(self) -> Any:
        consumer: Any = self._subscriber.consumer
        if consumer is None:
            raise LeaseLostError("the consumer has left its group")
        return consumer


class RevocationListener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Kafka waits for `on_partitions_revoked` before partitions go to another member: the place to finish and to let go."""

    def __init__(
        self, lock: PublishLock, progress: ConsumerHealth, *, grace_s: float, forget: Callable[[], None] | None = None
    ) -> None:
        self._lock = lock
        self._progress = progress
        self._grace_s = grace_s
        self._forget = forget

    async def on_partitions_revoked(self, revoked: set[KafkaPartition]) -> None:
        """Let the batch in progress finish and commit, then take the publish lock away."""
        finished = await self._lock.revoke(self._grace_s)
        self._progress.revoked()
        if self._forget is not None:
            # How far we came says nothing any more once another member may go on from there.
            self._forget()
        log.info("partitions revoked", partitions=len(revoked), batch_finished=finished)

    async def on_partitions_assigned(self, assigned: set[KafkaPartition]) -> None:
        """Let batches work again, and note the new assignment for readiness."""
        self._lock.grant()
        self._progress.assigned(frozenset((place.topic, place.partition) for place in assigned))
        log.info("partitions assigned", partitions=len(assigned))


def inbound(record: ConsumerRecord[Any, Any]) -> InboundRecord:
    """A record as aiokafka gives it, in our own form; nothing of it is decoded or believed yet."""
    return InboundRecord(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp,
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
        by_log=record.timestamp_type == _LOG_APPEND_TIME,
    )


def _security(settings: KafkaSettings) -> BaseSecurity:
    """The security that `client_options` gives aiokafka's own clients, in FastStream's classes."""
    context = ssl_context(settings)
    if "SASL" not in settings.security_protocol:
        return BaseSecurity(ssl_context=context)
    kind = _SASL[settings.sasl_mechanism]
    password = settings.sasl_password.get_secret_value()
    return kind(settings.sasl_username, password, ssl_context=context, use_ssl=context is not None)


def _faststream_log() -> logging.Logger:
    """FastStream's own log, errors only: it warns at every start that it creates no topics, which we do."""
    logger = logging.getLogger("ferroflux.faststream")
    logger.setLevel(logging.ERROR)
    return logger


async def _take_as_it_is(batch: tuple[ConsumerRecord[Any, Any], ...]) -> RawBatch:
    """A parser that cannot fail. The acknowledging methods of the message are inert: offsets are committed by `commit`."""
    return RawBatch(body=b"", headers={}, batch_headers=[], raw_message=tuple(batch), consumer=FAKE_CONSUMER)


async def _decode_nothing(message: RawBatch) -> bytes:
    """A decoder that cannot fail; the runner reads the raw records."""
    del message
    return b""
