"""Documents and dead letters into the log, durable when the call returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from indexer.ports import Clock
from indexer.records import ATTEMPT_HEADER, DeadLetter
from runtime.log_writer import LogWriter, OutboundRecord
from schemas.documents import SearchDocument
from schemas.identity import SkuKey

_OWN_HEADERS: Final = "ferroflux."


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
