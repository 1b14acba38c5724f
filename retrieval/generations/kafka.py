"""The records of the generations in Kafka: one compacted topic of one partition, changed in fenced transactions.

The fence is Kafka's own: a producer with our transactional id ends the transactions of the one before it. Who has
initialised it, then reads the topic to its end, decides and commits, has decided on the newest records, or does not
commit. So two operators cannot both move the pointer from the same place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from retrieval.generations.transitions import Transition
from retrieval.generations.view import GenerationView, Records, is_report, report_record, view_of
from runtime.kafka.clients import client_options
from schemas.errors import ConfigurationError, LogUnavailableError
from schemas.generations import ReplicaReport
from schemas.topics import LARGEST_RECORD_BYTES, KafkaSettings

log = structlog.get_logger(__name__)

OnRecords = Callable[[Records], Awaitable[None]]
"""Gets the records of the generations, reports left out: once at first, then whenever one changed."""

_POLL_MS: Final = 200
_STOP_S: Final = 5.0
_OPEN_TRANSACTION_S: Final = 5.0
_ABSENT_S: Final = 2.0
"""How often a topic that is not there is looked for: a system without generations has none."""
_AWAY_S: Final = 1.0
_ATTEMPTS: Final = 5

_TOPIC_CONFIG: Final = {
    "cleanup.policy": "compact",
    # Every replica reports every few seconds: short segments and an eager cleaner keep the topic at some kilobytes.
    "segment.ms": "600000",
    "min.cleanable.dirty.ratio": "0.1",
    "max.message.bytes": str(LARGEST_RECORD_BYTES),
}


class KafkaGenerationStore:
    """The port `GenerationStore` on `kafka.topics.generations`, which the first commit creates where it is absent."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topic = settings.topics.generations
        self._partition = TopicPartition(self._topic, 0)
        self._reporter: Any = None

    async def records(self) -> Records:
        """The newest value of every key; none where there is no topic."""
        if not await self._exists():
            return {}
        async with self._reading() as consumer:
            return await self._read_to_end(consumer)

    async def commit(self, transition: Transition) -> GenerationView:
        """Fence the others off, read, decide, write; a step that another fenced off is taken again."""
        await self._ensure()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._commit_once(transition)
            except LogUnavailableError as error:
                if attempt == _ATTEMPTS:
                    raise
                log.info("change of the generations is tried again", attempt=attempt, reason=str(error))
                await asyncio.sleep(_AWAY_S * attempt)
        raise AssertionError("the last attempt returns or raises")

    async def report(self, report: ReplicaReport) -> None:
        """Append a report; nothing is decided on it alone, so it needs no fence."""
        if self._reporter is None:
            self._reporter = await self._started(
                AIOKafkaProducer(**client_options(self._settings), acks="all", enable_idempotence=True)
            )
        key, value = report_record(report)
        try:
            await self._reporter.send_and_wait(self._topic, value, key=key.encode(), partition=0)
        except KafkaError as error:
            await self.close()
            raise LogUnavailableError(f"Kafka did not take a report: {error!r}") from error

    async def follow(self, on_records: OnRecords) -> None:
        """Call `on_records` for ever; a log that is away, or a topic that is not there yet, is waited for.

        The call for a topic that is absent says that there is no record: it is the answer of a system without generations.
        """
        told: Records | None = None
        while True:
            try:
                if not await self._exists():
                    if told is None:
                        told = {}
                        await on_records(told)
                    await asyncio.sleep(_ABSENT_S)
                    continue
                async with self._reading() as consumer:
                    records = dict(await self._read_to_end(consumer))
                    while True:
                        decisive = {key: value for key, value in records.items() if not is_report(key)}
                        if decisive != told:
                            told = decisive
                            await on_records(told)
                        await self._poll_into(consumer, records)
            except (LogUnavailableError, KafkaError, OSError) as error:
                log.warning("the log of the generations is away", error=str(error), again_in_s=_AWAY_S)
                await asyncio.sleep(_AWAY_S)

    async def close(self) -> None:
        """Let go of the connection that reports went by."""
        reporter, self._reporter = self._reporter, None
        if reporter is not None:
            await _stopped(reporter)

    async def _commit_once(self, transition: Transition) -> GenerationView:
        producer = await self._started(
            AIOKafkaProducer(
                **client_options(self._settings), acks="all", transactional_id=f"ferroflux-generations-{self._topic}"
            )
        )
        try:
            # Read only now: from here on, nobody who read earlier can commit any more.
            async with self._reading() as consumer:
                records = await self._read_to_end(consumer)
            changes = transition(view_of(records))
            if changes:
                async with producer.transaction():
                    sent = [
                        await producer.send(self._topic, value, key=key.encode(), partition=0)
                        for key, value in changes.items()
                    ]
                    try:
                        for delivery in sent:
                            await delivery
                    finally:
                        await asyncio.gather(*sent, return_exceptions=True)
        except KafkaError as error:
            raise LogUnavailableError(
                f"the generations were not changed: {error!r}; another operator may be at it"
            ) from error
        finally:
            await _stopped(producer)
        return view_of({key: value for key, value in {**records, **changes}.items() if value is not None})

    async def _ensure(self) -> None:
        if await self._exists():
            return
        if not self._settings.create_topics:
            raise ConfigurationError(
                f"there is no topic {self._topic}, and kafka.create_topics is off: create it with one partition and "
                "cleanup.policy=compact, or turn that on"
            )
        async with self._administering() as admin:
            topic = NewTopic(self._topic, 1, self._settings.replication, topic_configs=_TOPIC_CONFIG)
            answer = await admin.create_topics([topic])
            for outcome in answer.to_object()["topic_errors"]:
                error = for_code(outcome["error_code"])
                if outcome["error_code"] and error is not TopicAlreadyExistsError:
                    raise LogUnavailableError(
                        f"Kafka did not create topic {self._topic}: {outcome.get('error_message') or error.__name__}"
                    )
        for _ in range(_ATTEMPTS * 10):
            if await self._exists():
                return
            await asyncio.sleep(0.1)
        raise LogUnavailableError(f"topic {self._topic} was created but is not there yet; try again in a moment")

    async def _exists(self) -> bool:
        async with self._administering() as admin:
            return self._topic in set(await admin.list_topics())

    @asynccontextmanager
    async def _administering(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(**client_options(self._settings))
        try:
            await admin.start()
            yield admin
        except (KafkaError, OSError) as error:
            raise LogUnavailableError(f"Kafka at {self._settings.bootstrap} did not answer: {error!r}") from error
        finally:
            await admin.close()

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Any]:
        consumer = AIOKafkaConsumer(
            **client_options(self._settings),
            client_id="ferroflux-generations",
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_wait_ms=_POLL_MS,
        )
        try:
            await consumer.start()
            consumer.assign([self._partition])
            yield consumer
        except (KafkaError, OSError) as error:
            raise LogUnavailableError(f"Kafka at {self._settings.bootstrap} did not answer: {error!r}") from error
        finally:
            await _stopped(consumer)

    async def _read_to_end(self, consumer: Any) -> Records:
        # To the end of the log, not only of what is stable: a commit returns a moment before its marker is written, and
        # what was committed must be seen. A transaction that stays open was never committed and is not waited for.
        end = await self._end_of_log()
        await consumer.seek_to_beginning(self._partition)
        records: dict[str, bytes] = {}
        gives_up_at = time.monotonic() + _OPEN_TRANSACTION_S
        while await consumer.position(self._partition) < end and time.monotonic() < gives_up_at:
            await self._poll_into(consumer, records)
        return records

    async def _end_of_log(self) -> int:
        """The high watermark: a consumer that reads committed records only is told of the last stable offset instead."""
        consumer = AIOKafkaConsumer(**client_options(self._settings), client_id="ferroflux-generations")
        try:
            await consumer.start()
            end: int = (await consumer.end_offsets([self._partition]))[self._partition]
        finally:
            await _stopped(consumer)
        return end

    async def _poll_into(self, consumer: Any, records: dict[str, bytes]) -> None:
        fetched = await consumer.getmany(timeout_ms=_POLL_MS)
        for batch in fetched.values():
            for record in batch:
                key = (record.key or b"").decode("utf-8", errors="replace")
                if record.value is None:
                    records.pop(key, None)
                else:
                    records[key] = record.value

    async def _started(self, producer: Any) -> Any:
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await _stopped(producer)
            raise LogUnavailableError(f"Kafka at {self._settings.bootstrap} did not answer: {error!r}") from error
        return producer


async def _stopped(client: Any) -> None:
    with suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(_STOP_S):
            await client.stop()
