"""Dead letters in Kafka: read as a whole, settled in transactions, so that a letter and its marker cannot part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from aiokafka.errors import KafkaError

from indexer.deadletters.letter import Letter, Marker, Settlement
from indexer.kafka.reader import KafkaReader
from indexer.records import InboundRecord
from runtime.clock import Clock
from runtime.kafka.clients import open_producer, stopped
from runtime.kafka.log_writer import is_refusal
from schemas.errors import ConfigurationError, LogUnavailableError, RecordTooLargeError
from schemas.topics import KafkaSettings

_LARGEST_ORIGINAL: Final = 256 * 1024 * 1024
"""A record that came in a compressed batch may be far larger than what its topic takes."""


class KafkaDeadLetterStore:
    """The port `DeadLetterStore` on the dead-letter topic.

    `alone` is Kafka's own fence: a producer with our transactional id ends the transactions of the one before it, and
    whoever held it before cannot commit any more. So the producer is no `LogWriter`: one that replaced itself would take the
    fence back from whoever has it now, and a letter and its marker must go together.
    """

    def __init__(self, settings: KafkaSettings, *, clock: Clock) -> None:
        self._settings = settings
        self._topic = settings.topics.dead_letters
        self._clock = clock
        self._producer: Any = None

    async def records(self) -> AsyncIterator[Sequence[InboundRecord]]:
        """The topic from its first record to its present end, committed records only."""
        async with KafkaReader(self._settings) as reader:
            places = await reader.partitions([self._topic])
            begins, ends = await reader.begins(places), await reader.ends(places)
            async for records in reader.read(begins, ends):
                yield records

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Hold the transactional id of this topic's service."""
        await self._open()
        try:
            yield
        finally:
            await self._close()

    async def settle(self, letters: Sequence[Sequence[Letter]], settlement: Settlement) -> None:
        """One transaction: the records to their topics (where redriven) and a marker for each letter and copy."""
        if self._producer is None:
            await self._open()
        now_us = self._clock.now_us()
        sent: list[Any] = []
        try:
            async with self._producer.transaction():
                for together in letters:
                    if settlement is Settlement.REDRIVEN:
                        sent.append(await self._send_again(together[0]))
                    for letter in together:
                        headers = Marker(letter.id, settlement).headers(now_us)
                        # A marker beside its letter: they leave the topic together. aiokafka sends no null without a key.
                        value = None if letter.original.key is not None else b""
                        sent.append(
                            await self._producer.send(
                                self._topic,
                                value,
                                key=letter.original.key,
                                headers=headers,
                                partition=letter.id.partition,
                            )
                        )
                for delivery in sent:
                    await delivery
        except KafkaError as error:
            # A fenced producer fails every delivery; who awaits none of them is told so by asyncio, at length.
            outcomes = await asyncio.gather(*sent, return_exceptions=True)
            refusal = next((one for one in (error, *outcomes) if isinstance(one, Exception) and is_refusal(one)), None)
            if refusal is not None:
                # It lost a batch, so it has a gap in its sequence.
                await self._close()
                raise RecordTooLargeError(
                    f"a topic does not take a record that is to be sent again: {refusal!r}; raise its max.message.bytes"
                ) from error
            raise LogUnavailableError(
                f"the transaction was not committed, so nothing was settled by it: {error!r}; another operator may be at it"
            ) from error

    async def _send_again(self, letter: Letter) -> Any:
        record = letter.original
        value = b"" if record.value is None and record.key is None else record.value
        return await self._producer.send(
            record.topic, value, key=record.key, headers=letter.redriven_headers(), partition=record.partition
        )

    async def original(self, letter: Letter) -> InboundRecord | None:
        """Read the one record at the letter's coordinates."""
        record = letter.original
        place = (record.topic, record.partition)
        try:
            async with KafkaReader(self._settings) as reader:
                if place not in await reader.partitions([record.topic]):
                    return None
                begins, ends = await reader.begins([place]), await reader.ends([place])
                if not begins[place] <= record.offset < ends[place]:
                    return None
                async for records in reader.read({place: record.offset}, {place: record.offset + 1}, page=1):
                    return next((one for one in records if one.offset == record.offset), None)
        except ConfigurationError:
            # The topic itself is gone.
            return None
        return None

    async def _open(self) -> None:
        self._producer = await open_producer(
            self._settings,
            transactional_id=f"ferroflux-dlq-{self._topic}",
            # What came in a compressed batch must fit its topic again, so it goes compressed.
            compression_type="gzip",
            max_request_size=_LARGEST_ORIGINAL,
        )

    async def _close(self) -> None:
        producer, self._producer = self._producer, None
        await stopped(producer)
