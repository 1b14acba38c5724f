"""The producers: documents and dead letters into the log, durable when the call returns (acks=all, idempotent)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from indexer.kafka.topics import LARGEST_RECORD_BYTES
from indexer.ports import Clock
from indexer.records import ATTEMPT_HEADER, DeadLetter
from retrieval.serving.kafka import client_options
from schemas.documents import SearchDocument
from schemas.errors import LogUnavailableError
from schemas.identity import SkuKey
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

_OWN_HEADERS: Final = "ferroflux."
_STOP_SECONDS: Final = 5.0


class OutboundRecord(NamedTuple):
    """One record to append: key, value and headers as bytes."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


class LogWriter:
    """An idempotent producer that is replaced after a failure: one that lost a batch has a gap in its sequence for good."""

    def __init__(self, settings: KafkaSettings, *, timeout_s: float = 30.0) -> None:
        self._settings = settings
        self._timeout_s = timeout_s
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
        await self._discard()

    async def append(self, topic: str, records: Sequence[OutboundRecord]) -> None:
        """Append records, each partition's in order; when it returns, all in-sync replicas have them.

        Raises:
            LogUnavailableError: not all were confirmed; some may be in the log.
        """
        producer = await self._open()
        try:
            async with asyncio.timeout(self._timeout_s):
                pending = [
                    await producer.send(topic, value=record.value, key=record.key, headers=record.headers)
                    for record in records
                ]
                await asyncio.gather(*pending)
        except (KafkaError, TimeoutError) as error:
            await self._discard()
            raise LogUnavailableError(f"Kafka did not confirm {len(records)} records of {topic}: {error!r}") from error

    async def _open(self) -> Any:
        async with self._opening:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **client_options(self._settings),
                    acks="all",
                    enable_idempotence=True,
                    max_request_size=LARGEST_RECORD_BYTES,
                    max_batch_size=256 * 1024,
                    request_timeout_ms=15_000,
                )
                try:
                    await producer.start()
                except (KafkaError, OSError) as error:
                    await producer.stop()
                    raise LogUnavailableError(
                        f"Kafka at {self._settings.bootstrap} did not answer: {error!r}"
                    ) from error
                self._producer = producer
            return self._producer

    async def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await producer.stop()


class KafkaDocumentPublisher:
    """The port `DocumentPublisher` on the documents topic; the key is `tenant/sku`, so one product keeps its partition."""

    def __init__(self, writer: LogWriter, topic: str) -> None:
        self._writer = writer
        self._topic = topic

    async def publish(self, documents: Sequence[SearchDocument]) -> None:
        """Append documents in order; durable when it returns."""
        await self._writer.append(
            self._topic,
            [OutboundRecord(document.key.kafka_key, document.to_bytes(), []) for document in documents],
        )

    async def remove(self, keys: Sequence[SkuKey]) -> None:
        """Append null records: the products' tombstones are collected, and compaction forgets them."""
        await self._writer.append(self._topic, [OutboundRecord(key.kafka_key, None, []) for key in keys])


class KafkaDeadLetterSink:
    """The port `DeadLetterSink` on the dead-letter topic: original key, value and headers, and ours beside them."""

    def __init__(self, writer: LogWriter, topic: str, *, clock: Clock) -> None:
        self._writer = writer
        self._topic = topic
        self._clock = clock

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Append dead letters; durable when it returns."""
        now_us = self._clock.now_us()
        records = [
            OutboundRecord(letter.record.key, _value(letter), dead_letter_headers(letter, now_us=now_us))
            for letter in letters
        ]
        await self._writer.append(self._topic, records)


def dead_letter_headers(letter: DeadLetter, *, now_us: int) -> list[tuple[str, bytes | None]]:
    """The record's own headers, then `ferroflux.*`: reason, detail, coordinates, attempt, tenant, time (microseconds).

    `ferroflux.null` names the parts (`value`) of the original that were null, where Kafka itself cannot keep them so.
    Headers of ours that a redriven record brings along are replaced.
    """
    record = letter.record
    ours = {
        "ferroflux.reason": letter.reason,
        "ferroflux.detail": letter.detail,
        "ferroflux.topic": record.topic,
        "ferroflux.partition": str(record.partition),
        "ferroflux.offset": str(record.offset),
        "ferroflux.timestamp": str(record.timestamp_ms),
        ATTEMPT_HEADER: str(letter.attempt),
        "ferroflux.tenant": letter.tenant,
        "ferroflux.time": str(now_us),
    }
    if _value_is_lost(letter):
        ours["ferroflux.null"] = "value"
    kept = [(name, value) for name, value in record.headers if not name.startswith(_OWN_HEADERS)]
    return [*kept, *((name, text.encode("utf-8", errors="replace")) for name, text in ours.items())]


def _value_is_lost(letter: DeadLetter) -> bool:
    return letter.record.value is None and letter.record.key is None


def _value(letter: DeadLetter) -> bytes | None:
    """The original bytes. aiokafka sends no record without key and value: such a one becomes empty, and a header says so."""
    return b"" if _value_is_lost(letter) else letter.record.value
