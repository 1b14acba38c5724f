"""The producer that everyone appends with: durable when it returns, replaced after a failure, and item by item where a batch fails.

Kafka refuses a batch as a whole for what one record of it is (too large, against a policy), and a batch that is sent
again fails again. So a refusal is looked into: the records are tried one by one, those that the log takes go, and of
each of the others the outcome says why the log will never take it. What may succeed later (a leader that moves, a broker that is away) is
no refusal and stays `LogUnavailableError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import structlog
from aiokafka.errors import (
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    CorruptRecordException,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    OutOfOrderSequenceNumber,
    PolicyViolationError,
    ProducerClosed,
    ProducerFenced,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    UnknownProducerId,
    UnsupportedForMessageFormatError,
    kafka_errors,
)
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from runtime.kafka.clients import open_producer, stopped
from schemas.errors import (
    ConfigurationError,
    LogUnavailableError,
    PoisonError,
    RecordRefusedError,
    RecordTooLargeError,
)
from schemas.topics import LARGEST_RECORD_BYTES, KafkaSettings

log = structlog.get_logger(__name__)

_BATCH_BYTES: Final = 256 * 1024


class _InvalidRecordError(BrokerResponseError):  # type: ignore[misc] # aiokafka ships no types
    """Kafka's INVALID_RECORD, which aiokafka does not know and would give as an unknown error."""

    errno = 87
    message = "INVALID_RECORD"


kafka_errors.setdefault(_InvalidRecordError.errno, _InvalidRecordError)

_TOO_LARGE: Final = (MessageSizeTooLargeError, RecordListTooLargeError)
_REFUSED: Final = (
    *_TOO_LARGE,
    _InvalidRecordError,
    CorruptRecordException,
    PolicyViolationError,
    UnsupportedForMessageFormatError,
)
"""What a broker says of the records, whenever they are sent: they, or one of them, will never be taken."""

_GAP: Final = (OutOfOrderSequenceNumber, UnknownProducerId, ProducerClosed, ProducerFenced)
"""What befalls a producer that lost a batch, maybe to another caller's refusal: nothing was taken, and a new producer may go on."""

_FORBIDDEN: Final = (TopicAuthorizationFailedError, ClusterAuthorizationFailedError, InvalidTopicError)

_NOT_OURS: Final = (AssertionError, TypeError, ValueError, OverflowError)
"""What aiokafka raises for a record that it cannot encode: no key and no value, a header's name that is not Unicode, no bytes."""


class OutboundRecord(NamedTuple):
    """One record to append: key, value and headers as bytes."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class LogWriter:
    """An idempotent producer that is replaced after a failure: one that lost a batch has a gap in its sequence for good."""

    def __init__(
        self, settings: KafkaSettings, *, timeout_s: float = 30.0, largest_bytes: int = LARGEST_RECORD_BYTES
    ) -> None:
        """`timeout_s` bounds one attempt; no record of more than `largest_bytes` is sent to any topic."""
        self._settings = settings
        self._timeout_s = timeout_s
        self._largest = largest_bytes
        self._limits: dict[str, int] = {}
        self._producer: Any = None
        self._opening = asyncio.Lock()

    async def start(self) -> None:
        """Connect.

        Raises:
            LogUnavailableError: no broker answered.
        """
        await self._open()

    async def stop(self) -> None:
        """Flush and disconnect."""
        await self._discard(self._producer)

    def carries(self, limits: Mapping[str, int]) -> None:
        """Note what topics take (`max.message.bytes`): a larger record is refused without a round trip."""
        self._limits.update(limits)

    def limit(self, topic: str) -> int:
        """The largest record, in bytes as `record_bytes` counts them, that is sent to a topic."""
        return min(self._largest, self._limits.get(topic, self._largest))

    async def append(self, topic: str, records: Sequence[OutboundRecord]) -> None:
        """Append records, each partition's in order; when it returns, all in-sync replicas have them.

        Raises:
            LogUnavailableError: not all were confirmed; some may be in the log.
            RecordTooLargeError: a record is larger than the topic takes; all others are in the log.
            RecordRefusedError: a record will never be taken for another reason; all others are in the log.
            ConfigurationError: we may not write to the topic.
        """
        for refusal in await self.append_each(topic, records):
            if refusal is not None:
                raise refusal

    async def append_each(self, topic: str, records: Sequence[OutboundRecord]) -> list[PoisonError | None]:
        """Append what the log takes; for each record None where it went, or why it never will.

        Records of one key go in order, however many beside them are refused. Where some are, others may go twice.

        Raises:
            LogUnavailableError: not all were confirmed or refused; some may be in the log.
            ConfigurationError: we may not write to the topic.
        """
        refusals = [self._too_large(topic, record) for record in records]
        sound = [number for number, refusal in enumerate(refusals) if refusal is None]
        outcomes = await self._attempt(topic, [records[number] for number in sound])
        failed = {number: one for number, one in zip(sound, outcomes, strict=True) if isinstance(one, Exception)}
        if not failed:
            return refusals
        self._raise_unless(topic, failed.values(), (*_REFUSED, *_NOT_OURS, *_GAP), len(records))
        again = _to_repeat(records, sound, failed)
        for number, refusal in zip(again, await self._one_by_one(topic, [records[n] for n in again]), strict=True):
            refusals[number] = refusal
        return refusals

    async def append_to(self, topic: str, partition: int, records: Sequence[OutboundRecord]) -> int:
        """Append records to one partition in order; returns the offset after the last of them (0 for none).

        Of what is refused nothing is tried again: records that went are in the log.

        Raises:
            LogUnavailableError: not all were confirmed; some may be in the log.
            RecordTooLargeError: a record is larger than the topic takes.
            RecordRefusedError: a record will never be taken for another reason.
            ConfigurationError: we may not write to the topic.
        """
        for refusal in (self._too_large(topic, record) for record in records):
            if refusal is not None:
                raise refusal
        outcomes = await self._attempt(topic, records, partition)
        for record, outcome in zip(records, outcomes, strict=True):
            if isinstance(outcome, Exception):
                self._raise_unless(topic, [outcome], (*_REFUSED, *_NOT_OURS), len(records))
                raise _refusal(topic, record_bytes(record), outcome)
        return max((outcome.offset + 1 for outcome in outcomes), default=0)

    async def _one_by_one(self, topic: str, records: Sequence[OutboundRecord]) -> list[PoisonError | None]:
        """Append each record in a batch of its own, by a producer of our own: a refusal means this record and no other."""
        refusals: list[PoisonError | None] = []
        too_large = self._largest + 1
        producer: Any = None
        try:
            for record in records:
                size = record_bytes(record)
                error: Any = MessageSizeTooLargeError()
                if size < too_large:
                    producer = producer or await self._connect()
                    (error,) = await self._send(producer, topic, [record])
                if not isinstance(error, Exception):
                    refusals.append(None)
                    continue
                self._raise_unless(topic, [error], (*_REFUSED, *_NOT_OURS), 1)
                if isinstance(error, _TOO_LARGE):
                    too_large = min(too_large, size)
                refusals.append(_refusal(topic, size, error))
                # It lost this batch, so it has a gap.
                await stopped(producer)
                producer = None
        finally:
            await stopped(producer)
        return refusals

    async def _attempt(
        self, topic: str, records: Sequence[OutboundRecord], partition: int | None = None
    ) -> Sequence[Any]:
        """Send records together; for each where it went, or the error of one that was not confirmed."""
        if not records:
            return []
        producer = await self._open()
        try:
            outcomes = await self._send(producer, topic, records, partition)
        except LogUnavailableError:
            await self._discard(producer)
            raise
        if any(isinstance(outcome, Exception) for outcome in outcomes):
            await self._discard(producer)
        return outcomes

    async def _send(
        self, producer: Any, topic: str, records: Sequence[OutboundRecord], partition: int | None = None
    ) -> Sequence[Any]:
        at = {} if partition is None else {"partition": partition}
        sent: list[Any] = []
        try:
            async with asyncio.timeout(self._timeout_s):
                for record in records:
                    try:
                        sending = await producer.send(
                            topic, value=record.value, key=record.key, headers=record.headers, **at
                        )
                    except (KafkaError, *_NOT_OURS) as error:
                        sending = _failed(error)
                    sent.append(sending)
                outcomes = await asyncio.gather(*sent, return_exceptions=True)
        except TimeoutError as error:
            raise LogUnavailableError(
                f"Kafka did not confirm {len(records)} records of {topic} within {self._timeout_s:g} s"
            ) from error
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, Exception):
                raise outcome
        return outcomes

    @staticmethod
    def _raise_unless(
        topic: str, errors: Iterable[Exception], expected: tuple[type[Exception], ...], size: int
    ) -> None:
        """Raise what is no refusal: it may succeed later, or is a matter of the configuration."""
        for error in errors:
            if isinstance(error, _FORBIDDEN):
                raise ConfigurationError(
                    f"Kafka does not let us write to topic {topic}: {error!r}; "
                    "allow it to the user that the settings name, or correct the topic's name"
                ) from error
            if not isinstance(error, expected):
                raise LogUnavailableError(f"Kafka did not confirm {size} records of {topic}: {error!r}") from error

    def _too_large(self, topic: str, record: OutboundRecord) -> PoisonError | None:
        size, most = record_bytes(record), self.limit(topic)
        if size <= most:
            return None
        return RecordTooLargeError(f"a record of {size} bytes is larger than the {most} that topic {topic} takes")

    async def _open(self) -> Any:
        async with self._opening:
            if self._producer is None:
                self._producer = await self._connect()
            return self._producer

    async def _connect(self) -> Any:
        return await open_producer(
            self._settings,
            enable_idempotence=True,
            max_request_size=self._largest,
            # A topic that takes less than our batches would refuse each of them as a whole.
            max_batch_size=min([_BATCH_BYTES, *self._limits.values()]),
            request_timeout_ms=15_000,
        )

    async def _discard(self, producer: Any) -> None:
        if self._producer is producer:
            # Another caller may have replaced it already.
            self._producer = None
        await stopped(producer)


def is_refusal(error: Exception) -> bool:
    """Whether an error of aiokafka's says that a record will never be taken, whenever it is sent again."""
    return isinstance(error, _REFUSED)


def _failed(error: Exception) -> asyncio.Future[Any]:
    """What a record gives that was not even sent."""
    failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    failed.set_exception(error)
    failed.exception()  # or asyncio complains of it where a timeout comes before anybody looks
    return failed


def _refusal(topic: str, size: int, error: Exception) -> PoisonError:
    if isinstance(error, _TOO_LARGE):
        return RecordTooLargeError(f"topic {topic} does not take a record of {size} bytes: raise its max.message.bytes")
    return RecordRefusedError(f"topic {topic} never takes this record of {size} bytes: {error!r}")


def record_bytes(record: OutboundRecord) -> int:
    """The size of a record in a batch of its own, which `max.message.bytes` bounds; at most some 20 bytes more than it is."""
    headers = [(name.encode("utf-8", "replace").decode(), value) for name, value in record.headers]
    size: int = DefaultRecordBatchBuilder.estimate_size_in_bytes(record.key, record.value, headers)
    return size


def _to_repeat(records: Sequence[OutboundRecord], sent: Sequence[int], failed: Mapping[int, Exception]) -> list[int]:
    """The records that failed, and those behind them of the same keys: what failed would come after those otherwise."""
    again: list[int] = []
    keys: set[bytes] = set()
    for number in sent:
        key = records[number].key
        if number in failed or key in keys:
            again.append(number)
            if key is not None:
                keys.add(key)
    return again
