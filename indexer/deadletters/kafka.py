"""Dead letters in Kafka: read as a whole, settled in transactions, so that a letter and its marker cannot part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from indexer.deadletters.letter import Letter, Marker, Settlement
from indexer.kafka.reader import KafkaReader
from indexer.ports import Clock
from indexer.records import InboundRecord
from runtime.kafka import client_options
from schemas.errors import LogUnavailableError
from schemas.topics import LARGEST_RECORD_BYTES, KafkaSettings


class KafkaDeadLetterStore:
    """The port `DeadLetterStore` on the dead-letter topic.

    `alone` is Kafka's own fence: a producer with our transactional id ends the transactions of the one before it, and
    whoever held it before cannot commit any more.
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
        """Hold the transactional id of this topic's desk."""
        producer = AIOKafkaProducer(
            **client_options(self._settings),
            transactional_id=f"ferroflux-dlq-{self._topic}",
            acks="all",
            max_request_size=LARGEST_RECORD_BYTES,
        )
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise LogUnavailableError(f"Kafka at {self._settings.bootstrap} did not answer: {error!r}") from error
        self._producer = producer
        try:
            yield
        finally:
            self._producer = None
            with suppress(KafkaError):
                await producer.stop()

    async def settle(self, letters: Sequence[Sequence[Letter]], settlement: Settlement) -> None:
        """One transaction: the records to their topics (where redriven) and a marker for each letter and copy."""
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
            await asyncio.gather(*sent, return_exceptions=True)
            raise LogUnavailableError(
                f"the transaction was not committed, so nothing was settled by it: {error!r}; another operator may be at it"
            ) from error

    async def _send_again(self, letter: Letter) -> Any:
        record = letter.original
        value = b"" if record.value is None and record.key is None else record.value
        return await self._producer.send(
            record.topic, value, key=record.key, headers=letter.redriven_headers(), partition=record.partition
        )
