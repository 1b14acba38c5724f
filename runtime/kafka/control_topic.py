"""A compacted topic of one partition that holds what all processes must agree on, changed in fenced transactions.

The fence is Kafka's own: a producer with the topic's transactional id ends the transactions of the one before it. Who has
initialised it, then reads the topic to its end, decides and commits, has decided on the newest records, or does not
commit. So two operators cannot both change it from the same state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from runtime.clock import SYSTEM_CLOCK
from runtime.kafka.clients import administering, consuming, fetched, open_producer, stopped
from runtime.kafka.topic_identity import TopicIds
from runtime.kafka.topics import create_topics
from runtime.retry import Backoff, BackoffPolicy, retry
from schemas.errors import LogUnavailableError
from schemas.topics import KafkaSettings

_POLL_MS: Final = 200
_ABSENT_S: Final = 1.0
"""How often a topic that is not there is looked for: a system in which nothing was ever written to it has none."""
_CHANGING: Final = BackoffPolicy(base_s=1.0, cap_s=8.0)
_FOLLOWING: Final = BackoffPolicy(base_s=0.5, cap_s=1.0)
_ATTEMPTS: Final = 5
_LOG_APPEND_TIME: Final = 1

V = TypeVar("V")


class ControlRecord(NamedTuple):
    """One record; `by_log` says whether its time is the brokers' own."""

    key: str
    value: bytes | None
    offset: int
    timestamp_ms: int
    by_log: bool


@dataclass(frozen=True, slots=True)
class Heard(Generic[V]):
    """What a follower knows: the state, and for how many seconds that may not have been all; None where more is on its way."""

    state: Mapping[str, V]
    age_s: float | None
    absent: bool = False
    """There is no topic, so there is nothing in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlTopicKind:
    """What distinguishes one control topic from another. `name` is part of its transactional id, so it never changes."""

    name: str
    configuration: Mapping[str, str]
    """Of a topic that is created, by Kafka's names."""
    transaction_ms: int
    """How long a transaction of an operator who died may stay open before the brokers end it."""
    read_within_s: float
    """How long an open transaction is waited for."""
    open_is_uncommitted: bool
    """Whether reading then goes on without it, as if it were never committed, or gives up."""


class ControlTopic(Generic[V]):
    """One topic, whose records `fold` makes into a state: it takes each record in turn into what came of those before it."""

    def __init__(
        self,
        settings: KafkaSettings,
        topic: str,
        kind: ControlTopicKind,
        fold: Callable[[dict[str, V], ControlRecord], None],
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._kind = kind
        self._fold = fold
        self._place = TopicPartition(topic, 0)
        self._ids = TopicIds(settings)
        self._client_id = f"ferroflux-{kind.name}"

    async def read(self) -> dict[str, V]:
        """The state; empty where there is no topic.

        Raises:
            LogUnavailableError: the cluster did not answer, or the topic was not read to its end.
        """
        # The consumer comes first: of brokers that are away, it tells at once, and the question for a topic after ten seconds.
        async with self._consuming() as consumer:
            return await self._to_end(consumer) if await self._ids.is_there(self._topic) else {}

    async def change(
        self, decide: Callable[[Mapping[str, V]], Mapping[str, bytes | None]]
    ) -> tuple[dict[str, V], list[ControlRecord]]:
        """Fence the others off, read, decide, write: the state afterwards, and the records as they were written.

        `decide` gives values by key, None to forget a key; it is asked again where another operator was faster. What it
        raises is raised, and nothing is written then. The topic is created where it is absent.

        Raises:
            LogUnavailableError: it was not changed.
            ConfigurationError: there is no such topic, and it may not be created.
        """
        async with administering(self._settings) as admin:
            if not await self._ids.is_there(self._topic):
                await self._create(admin)
        return await retry(
            lambda: self._change_once(decide),
            f"topic {self._topic} is not changed yet",
            backoff=Backoff(_CHANGING),
            errors=LogUnavailableError,
            attempts=_ATTEMPTS,
        )

    async def follow(self, hear: Callable[[Heard[V]], Awaitable[None]]) -> None:
        """Tell for ever, several times a second, changed or not; brokers that are away, or an absent topic, are waited for."""
        backoff = Backoff(_FOLLOWING)
        away = f"control topic {self._topic} is away"
        await retry(lambda: self._follow(hear, backoff), away, backoff=backoff, errors=LogUnavailableError)

    async def _follow(self, hear: Callable[[Heard[V]], Awaitable[None]], backoff: Backoff) -> None:
        """Tell until the brokers are away.

        Raises:
            LogUnavailableError: they are.
        """
        try:
            async with self._consuming() as consumer:
                await self._until_there(hear)
                state = await self._to_end(consumer)
                backoff.reset()
                while True:
                    await hear(Heard(state, await self._age_s(consumer)))
                    await self._poll_into(consumer, state)
        except (KafkaError, OSError) as error:
            raise LogUnavailableError(f"topic {self._topic} was not read: {error!r}") from error

    async def _until_there(self, hear: Callable[[Heard[V]], Awaitable[None]]) -> None:
        while True:
            asked = SYSTEM_CLOCK.monotonic()
            if await self._ids.is_there(self._topic):
                return
            await hear(Heard({}, SYSTEM_CLOCK.monotonic() - asked, absent=True))
            await asyncio.sleep(_ABSENT_S)

    async def _age_s(self, consumer: Any) -> float | None:
        """How long ago the newest fetch came to the end of what is committed; None where it did not."""
        stable, fetched_ms = consumer.last_stable_offset(self._place), consumer.last_poll_timestamp(self._place)
        if stable is None or fetched_ms is None or await consumer.position(self._place) < stable:
            return None
        age_s: float = SYSTEM_CLOCK.now_us() / 1e6 - fetched_ms / 1_000
        return max(0.0, age_s)

    async def _change_once(
        self, decide: Callable[[Mapping[str, V]], Mapping[str, bytes | None]]
    ) -> tuple[dict[str, V], list[ControlRecord]]:
        producer = await open_producer(
            self._settings,
            transactional_id=f"ferroflux-{self._kind.name}-{self._topic}",
            transaction_timeout_ms=self._kind.transaction_ms,
        )
        try:
            # Read only now: from here on, nobody who read earlier can commit any more.
            async with self._consuming() as consumer:
                state = await self._to_end(consumer)
            changes = decide(state)
            written = await self._write(producer, changes) if changes else []
        except (KafkaError, OSError) as error:
            raise LogUnavailableError(
                f"topic {self._topic} was not changed: {error!r}; another operator may be at it"
            ) from error
        finally:
            await stopped(producer)
        for record in written:
            self._fold(state, record)
        return state, written

    async def _write(self, producer: Any, changes: Mapping[str, bytes | None]) -> list[ControlRecord]:
        async with producer.transaction():
            sent = [
                await producer.send(self._topic, value, key=key.encode(), partition=0) for key, value in changes.items()
            ]
            try:
                confirmed = [await delivery for delivery in sent]
            finally:
                # A fenced producer fails every delivery; of one that nobody awaits asyncio would complain.
                await asyncio.gather(*sent, return_exceptions=True)
        return [
            ControlRecord(key, value, at.offset, at.timestamp, at.timestamp_type == _LOG_APPEND_TIME)
            for (key, value), at in zip(changes.items(), confirmed, strict=True)
        ]

    async def _create(self, admin: Any) -> None:
        await create_topics(admin, self._settings, {self._topic: self._kind.configuration}, partitions=1)
        for _ in range(_ATTEMPTS * 10):
            if await self._ids.is_there(self._topic):
                return
            await asyncio.sleep(0.1)
        raise LogUnavailableError(f"topic {self._topic} was created but is not there yet; try again in a moment")

    def _consuming(self, **options: Any) -> Any:
        return consuming(self._settings, client_id=self._client_id, fetch_max_wait_ms=_POLL_MS, **options)

    async def _to_end(self, consumer: Any) -> dict[str, V]:
        """To the end of the log, not only of what is stable: a commit returns a moment before its marker is written, and what was committed must be seen."""
        # A consumer that reads committed records only is told of the last stable offset instead.
        async with self._consuming(isolation_level="read_uncommitted") as uncommitted:
            end = (await uncommitted.end_offsets([self._place]))[self._place]
        consumer.assign([self._place])
        await consumer.seek_to_beginning(self._place)
        state: dict[str, V] = {}
        gives_up_at = SYSTEM_CLOCK.monotonic() + self._kind.read_within_s
        while await consumer.position(self._place) < end:
            if SYSTEM_CLOCK.monotonic() > gives_up_at:
                if self._kind.open_is_uncommitted:
                    break
                raise LogUnavailableError(
                    f"topic {self._topic} was not read to its end in {self._kind.read_within_s:g} s"
                )
            await self._poll_into(consumer, state)
        return state

    async def _poll_into(self, consumer: Any, state: dict[str, V]) -> None:
        batches = await fetched(consumer, timeout_ms=_POLL_MS)
        for record in (one for batch in batches.values() for one in batch):
            key = (record.key or b"").decode("utf-8", errors="replace")
            by_log = record.timestamp_type == _LOG_APPEND_TIME
            self._fold(state, ControlRecord(key, record.value, record.offset, record.timestamp, by_log))
