"""Reading a stretch of Kafka's log from outside: assigned, without a group, so no live consumer notices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from types import TracebackType
from typing import Any, Final, Self

import structlog
from aiokafka import TopicPartition as KafkaPartition

from indexer.kafka.consumer import inbound
from indexer.records import InboundRecord, TopicPartition
from runtime.kafka.clients import administering, answering, fetched, open_consumer, stopped
from schemas.errors import ConfigurationError, LogUnavailableError
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

_POLL_MS: Final = 1000
_SILENT_POLLS: Final = 30
"""Polls without an answer after which the broker counts as away."""


class KafkaReader:
    """Reads partitions from given offsets up to given ends. Open it with `async with`; it commits nothing, ever."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._consumer: Any = None

    async def __aenter__(self) -> Self:
        self._consumer = await open_consumer(self._settings, client_id="ferroflux-reader", auto_offset_reset="earliest")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stopped(self._consumer)

    async def partitions(self, topics: Collection[str]) -> list[TopicPartition]:
        """All partitions of these topics.

        Raises:
            ConfigurationError: there is no such topic.
        """
        async with administering(self._settings) as admin:
            described = await admin.describe_topics(list(topics))
        absent = [topic["topic"] for topic in described if not topic["partitions"]]
        if absent:
            raise ConfigurationError(f"there is no topic {', '.join(absent)}; FERROFLUX_KAFKA__TOPICS names the topics")
        return sorted((topic["topic"], entry["partition"]) for topic in described for entry in topic["partitions"])

    async def begins(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset that each partition still holds."""
        return _ours(await self._ask(self._consumer.beginning_offsets(_theirs(places))))

    async def ends(self, places: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last committed record of each partition."""
        return _ours(await self._ask(self._consumer.end_offsets(_theirs(places))))

    async def at_time(self, places: Collection[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        """The first offset of each partition with that log time or a later one; partitions without one are left out."""
        found = await self._ask(self._consumer.offsets_for_times(dict.fromkeys(_theirs(places), timestamp_ms)))
        return {(place.topic, place.partition): entry.offset for place, entry in found.items() if entry is not None}

    async def oldest_ms(self, places: Collection[TopicPartition]) -> int | None:
        """The log time of the oldest record that is still kept, ms since 1970; None where there is no record."""
        found = await self._ask(self._consumer.offsets_for_times(dict.fromkeys(_theirs(places), 0)))
        return min((entry.timestamp for entry in found.values() if entry is not None), default=None)

    async def read(
        self, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], *, page: int = 500
    ) -> AsyncIterator[list[InboundRecord]]:
        """Records at `begins` and beyond, below `ends`; those of one partition in order, at most `page` a time.

        Raises:
            LogUnavailableError: the brokers stopped answering.
        """
        left = {place for place, end in ends.items() if begins.get(place, end) < end}
        if not left:
            return
        self._consumer.assign(_theirs(sorted(left)))
        for place in left:
            self._consumer.seek(KafkaPartition(*place), begins[place])
        silent = 0
        while left:
            batches = await self._ask(fetched(self._consumer, timeout_ms=_POLL_MS, max_records=page))
            records = [inbound(record) for batch in batches.values() for record in batch]
            wanted = [record for record in records if record.offset < ends[record.topic, record.partition]]
            if wanted:
                yield wanted
            positions = {place: await self._consumer.position(KafkaPartition(*place)) for place in left}
            done = {place for place, position in positions.items() if position >= ends[place]}
            for place in done:
                self._consumer.pause(KafkaPartition(*place))
            left -= done
            silent = 0 if batches or done else silent + 1
            if silent == _SILENT_POLLS:
                raise LogUnavailableError(f"Kafka at {self._settings.bootstrap} gave no record for {silent} s")

    async def _ask(self, question: Any) -> Any:
        with answering(self._settings):
            return await question


def _theirs(places: Collection[TopicPartition]) -> list[KafkaPartition]:
    return [KafkaPartition(topic, number) for topic, number in places]


def _ours(offsets: Mapping[KafkaPartition, int]) -> dict[TopicPartition, int]:
    return {(place.topic, place.partition): offset for place, offset in offsets.items()}
