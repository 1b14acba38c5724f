"""Documents and dead letters into the log, durable when the call returns."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from indexer.ports import Clock, Published
from indexer.records import ATTEMPT_HEADER, DeadLetter
from runtime.log_writer import LogWriter, OutboundRecord, record_bytes
from schemas.documents import SearchDocument
from schemas.errors import ConfigurationError, PoisonError, RecordTooLargeError
from schemas.events.dead_letters import LetterRecord, fitting_letter
from schemas.identity import SkuKey
from schemas.shortening import shortened
from schemas.topics import SMALLEST_RECORD_BYTES

_BESIDE_VALUE: Final = 4 * 1024
"""Of a document's record: its key, which has at most 1.1 KB, and the batch's overhead."""


class KafkaDocumentPublisher:
    """The port `DocumentPublisher` on the documents topic; the key is `tenant/sku`, so one product keeps its partition."""

    def __init__(self, writer: LogWriter, topic: str) -> None:
        self._writer = writer
        self._topic = topic

    async def publish(self, documents: Sequence[SearchDocument]) -> Published:
        """Append documents in order, each in a form that the topic takes; durable when it returns."""
        refused: dict[SkuKey, PoisonError] = {}
        incomplete = 0
        pending, most = list(documents), self._writer.limit(self._topic)
        while pending:
            fitting = [shortened(document, most - _BESIDE_VALUE) for document in pending]
            records = [OutboundRecord(document.key.kafka_key, document.to_bytes(), []) for document in fitting]
            refusals = await self._writer.append_each(self._topic, records)
            incomplete += sum(
                bool(document.omitted) for document, refusal in zip(fitting, refusals, strict=True) if refusal is None
            )
            too_large = [n for n, refusal in enumerate(refusals) if isinstance(refusal, RecordTooLargeError)]
            if most <= SMALLEST_RECORD_BYTES:
                too_large = []
            refused |= {
                pending[n].key: refusal
                for n, refusal in enumerate(refusals)
                if refusal is not None and n not in too_large
            }
            if too_large:
                most = _less(most, [records[n] for n in too_large])
            pending = [pending[n] for n in too_large]
        return Published(refused, incomplete)

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
        pending, most = list(letters), self._writer.limit(self._topic)
        while pending:
            records = [OutboundRecord(*letter_record(letter, now_us=now_us, most=most)) for letter in pending]
            refusals = await self._writer.append_each(self._topic, records)
            refused = [number for number, refusal in enumerate(refusals) if refusal is not None]
            if refused and most <= SMALLEST_RECORD_BYTES:
                raise ConfigurationError(
                    f"topic {self._topic} takes no dead letter: {refusals[refused[0]]}; correct the topic's configuration"
                )
            if refused:
                most = _less(most, [records[number] for number in refused])
            pending = [pending[number] for number in refused]


def _less(most: int, refused: Sequence[OutboundRecord]) -> int:
    """The next size to try where the topic takes less than it said, or said nothing."""
    return max(SMALLEST_RECORD_BYTES, min(most, *map(record_bytes, refused)) // 2)


def letter_record(letter: DeadLetter, *, now_us: int, most: int) -> LetterRecord:
    """A dead letter as a record of at most `most` bytes. aiokafka sends none without key and value: such a one becomes empty."""
    record = letter.record
    value = b"" if record.value is None and record.key is None else record.value
    return fitting_letter(record.key, value, record.headers, _own_headers(letter, now_us), most=most)


def dead_letter_headers(letter: DeadLetter, *, now_us: int) -> list[tuple[str, bytes | None]]:
    """The headers of a whole letter: the record's own, then `ferroflux.*`.

    Headers of ours that a redriven record brings along are replaced.
    """
    return letter_record(letter, now_us=now_us, most=sys.maxsize).headers


def _own_headers(letter: DeadLetter, now_us: int) -> dict[str, str]:
    """Reason, detail, coordinates, attempt, tenant, time (microseconds).

    `ferroflux.null` names the parts (`value`) of the original that were null, where Kafka itself cannot keep them so.
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
    if record.value is None and record.key is None:
        ours["ferroflux.null"] = "value"
    return ours
