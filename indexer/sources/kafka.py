"""The history of sources in Kafka: one compacted topic of one partition, whose entries are never replaced.

Adding an entry is a fenced transaction, as with the generations: a producer with our transactional id ends the
transactions of the one before it, so whoever reads after that and commits has decided on the newest history.

An entry holds from `HOLDS_AFTER_MS` after the log time of its own record, by the clock that stamps the changes, too. Its
transaction is open for five seconds at most, and a follower says how old its knowledge is, so nobody decides without it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from indexer.sources.live import LiveSources
from indexer.sources.port import Decide
from runtime.kafka.clients import client_options
from runtime.kafka.topic_identity import TopicIds
from schemas.errors import ConfigurationError, InvalidEventError, LogUnavailableError
from schemas.sources import HOLDS_AFTER_MS, SourceEntry, SourceHistory
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

_POLL_MS: Final = 200
_STOP_S: Final = 5.0
_OPEN_TRANSACTION_MS: Final = 5_000
_READ_WITHIN_S: Final = 15.0
_ABSENT_S: Final = 1.0
"""How often a topic that is not there is looked for: a system in which nothing was ever handed over has none."""
_AWAY_S: Final = 1.0
_ATTEMPTS: Final = 5
_LOG_APPEND_TIME: Final = 1

_TOPIC_CONFIG: Final = {
    "cleanup.policy": "compact",
    "message.timestamp.type": "LogAppendTime",
}

Entries = dict[str, SourceEntry]


class KafkaSourceStore:
    """The port `SourceStore` on `kafka.topics.sources`, which the first entry creates where it is absent."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topic = settings.topics.sources
        self._partition = TopicPartition(self._topic, 0)
        self._ids = TopicIds(settings)

    async def entries(self) -> Sequence[SourceEntry]:
        """All entries; none where there is no topic."""
        if not await self._exists():
            return ()
        async with self._reading() as consumer:
            return tuple((await self._read_to_end(consumer)).values())

    async def add(self, decide: Decide) -> SourceEntry:
        """Fence the others off, read, decide, write; an addition that another fenced off is tried again."""
        await self._ensure()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._add_once(decide)
            except LogUnavailableError as error:
                if attempt == _ATTEMPTS:
                    raise
                log.info("addition to the history of sources is tried again", attempt=attempt, reason=str(error))
                await asyncio.sleep(_AWAY_S * attempt)
        raise AssertionError("the last attempt returns or raises")

    async def follow(self, live: LiveSources) -> None:
        """Tell `live` for ever; a log that is away, or a topic that is not there yet, is waited for."""
        while True:
            try:
                await self._until_there(live)
                async with self._reading() as consumer:
                    entries = await self._read_to_end(consumer)
                    while True:
                        await self._tell(live, consumer, entries)
                        await self._poll_into(consumer, entries)
            except (LogUnavailableError, KafkaError, OSError) as error:
                log.warning("the history of sources is away", error=str(error), again_in_s=_AWAY_S)
                await asyncio.sleep(_AWAY_S)

    async def _until_there(self, live: LiveSources) -> None:
        while True:
            asked = time.monotonic()
            if await self._exists():
                return
            live.hear((), age_s=time.monotonic() - asked)
            await asyncio.sleep(_ABSENT_S)

    async def _tell(self, live: LiveSources, consumer: Any, entries: Entries) -> None:
        """Say what was heard, where the newest fetch came to the end of what is committed."""
        stable, fetched_ms = consumer.last_stable_offset(self._partition), consumer.last_poll_timestamp(self._partition)
        if stable is None or fetched_ms is None or await consumer.position(self._partition) < stable:
            return
        live.hear(entries.values(), age_s=max(0.0, time.time() - fetched_ms / 1_000))

    async def _add_once(self, decide: Decide) -> SourceEntry:
        producer = AIOKafkaProducer(
            **client_options(self._settings),
            acks="all",
            transactional_id=f"ferroflux-sources-{self._topic}",
            transaction_timeout_ms=_OPEN_TRANSACTION_MS,
        )
        try:
            await producer.start()
            # Read only now: from here on, nobody who read earlier can commit any more.
            async with self._reading() as consumer:
                entries = await self._read_to_end(consumer)
            now_ms = time.time_ns() // 1_000_000
            entry = decide(SourceHistory(entries.values()), now_ms + HOLDS_AFTER_MS)
            async with producer.transaction():
                sending = await producer.send(self._topic, entry.to_bytes(), key=entry.key.encode(), partition=0)
                try:
                    sent = await sending
                finally:
                    await asyncio.gather(sending, return_exceptions=True)
        except (KafkaError, OSError) as error:
            raise LogUnavailableError(
                f"the history of sources was not changed: {error!r}; another operator may be at it"
            ) from error
        finally:
            await _stopped(producer)
        return _holding(entry, sent.timestamp, by_log=sent.timestamp_type == _LOG_APPEND_TIME)

    async def _ensure(self) -> None:
        if await self._exists():
            return
        async with self._administering() as admin:
            if not self._settings.create_topics:
                raise ConfigurationError(
                    f"there is no topic {self._topic}, and kafka.create_topics is off: create it with one partition, "
                    "cleanup.policy=compact and message.timestamp.type=LogAppendTime, or turn that on"
                )
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
        """Asked by its name: a list leaves out what one may not describe, and costs as much as the cluster has topics.

        Without that right nothing is known, which is warned of once, and counts as nothing declared.
        """
        return self._topic in await self._ids.of([self._topic])

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
            client_id="ferroflux-sources",
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

    async def _read_to_end(self, consumer: Any) -> Entries:
        """To the end of the log, not only of what is stable: what was committed a moment ago must be seen."""
        end = await self._end_of_log()
        await consumer.seek_to_beginning(self._partition)
        entries: Entries = {}
        gives_up_at = time.monotonic() + _READ_WITHIN_S
        while await consumer.position(self._partition) < end:
            if time.monotonic() > gives_up_at:
                raise LogUnavailableError(f"topic {self._topic} was not read to its end in {_READ_WITHIN_S:.0f} s")
            await self._poll_into(consumer, entries)
        return entries

    async def _end_of_log(self) -> int:
        """The high watermark: a consumer that reads committed records only is told of the last stable offset instead."""
        consumer = AIOKafkaConsumer(**client_options(self._settings), client_id="ferroflux-sources")
        try:
            await consumer.start()
            end: int = (await consumer.end_offsets([self._partition]))[self._partition]
        finally:
            await _stopped(consumer)
        return end

    async def _poll_into(self, consumer: Any, entries: Entries) -> None:
        fetched = await consumer.getmany(timeout_ms=_POLL_MS)
        for batch in fetched.values():
            for record in batch:
                try:
                    entry = SourceEntry.from_bytes(record.value or b"")
                except InvalidEventError as error:
                    log.warning("record of the history of sources is left out", offset=record.offset, reason=str(error))
                    continue
                by_log = record.timestamp_type == _LOG_APPEND_TIME
                # What was written first stands: a record of the same key would change what was decided by it.
                entries.setdefault(entry.key, _holding(entry, record.timestamp, by_log=by_log))


def _holding(entry: SourceEntry, timestamp_ms: int, *, by_log: bool) -> SourceEntry:
    """The entry with the time from which it holds: the log's, where the topic says it."""
    return replace(entry, since_ms=timestamp_ms + HOLDS_AFTER_MS) if by_log else entry


async def _stopped(client: Any) -> None:
    with suppress(KafkaError, TimeoutError, OSError):
        async with asyncio.timeout(_STOP_S):
            await client.stop()
