"""Documents and dead letters into the log, durable when the call returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from indexer.ports import Published
from indexer.records import DeadLetter, taken_ms
from runtime.clock import Clock
from runtime.kafka.fitting import append_fitting, append_letters
from runtime.kafka.log_writer import LogWriter, OutboundRecord
from schemas.documents import SearchDocument
from schemas.events.dead_letters import LetterRecord, fitting_letter, own_headers
from schemas.identity import SkuKey
from schemas.product.shortening import shortened

_BESIDE_VALUE: Final = 4 * 1024
"""Of a document's record: its key, which has at most 1.1 KB, and the batch's overhead."""


class KafkaDocumentPublisher:
    """The port `DocumentPublisher` on the documents topic; the key is `tenant/sku`, so one product keeps its partition."""

    def __init__(self, writer: LogWriter, topic: str) -> None:
        self._writer = writer
        self._topic = topic

    async def publish(self, documents: Sequence[SearchDocument]) -> Published:
        """Append documents in order, each in a form that the topic takes; durable when it returns."""
        fitted: dict[SkuKey, SearchDocument] = {}

        def fit(document: SearchDocument, most: int) -> OutboundRecord:
            fitting = fitted[document.key] = shortened(document, most - _BESIDE_VALUE)
            return OutboundRecord(document.key.kafka_key, fitting.to_bytes(), [])

        refusals = await append_fitting(self._writer, self._topic, documents, fit)
        refused = {
            document.key: refusal for document, refusal in zip(documents, refusals, strict=True) if refusal is not None
        }
        return Published(refused, sum(bool(one.omitted) for key, one in fitted.items() if key not in refused))

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
        """Append dead letters, each in a form that the topic takes; durable when it returns.

        Raises:
            ConfigurationError: the topic takes not even the smallest form of a letter.
        """
        now_us = self._clock.now_us()
        await append_letters(
            self._writer, self._topic, letters, lambda letter, most: letter_record(letter, now_us=now_us, most=most)
        )


def letter_record(letter: DeadLetter, *, now_us: int, most: int) -> LetterRecord:
    """A dead letter as a record of at most `most` bytes."""
    record = letter.record
    ours = own_headers(
        reason=letter.reason,
        detail=letter.detail,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        attempt=letter.attempt,
        tenant=letter.tenant,
        now_us=now_us,
        taken_ms=taken_ms(record, now_us // 1_000),
    )
    return fitting_letter(record.key, record.value, record.headers, ours, most=most)
