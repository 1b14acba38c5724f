"""Consumer groups and topics from outside: how far a group is, setting where it begins, removing topics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Self

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError, for_code

from indexer.records import TopicPartition
from runtime.kafka.clients import client_options
from schemas.errors import LogUnavailableError
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

_DELETE_MS: Final = 30_000


class GroupAdmin:
    """A short-lived client; open it with `async with`. Every method may raise LogUnavailableError."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client: Any = None

    async def __aenter__(self) -> Self:
        self._client = AIOKafkaAdminClient(**client_options(self._settings))
        try:
            await self._client.start()
        except (KafkaError, OSError) as error:
            await self._client.close()
            raise self._away(error) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """The offsets that the group has committed; none of a group that never did."""
        return {place: offset for place, (offset, _) in (await self.committed_with_metadata(group)).items()}

    async def committed_with_metadata(self, group: str) -> dict[TopicPartition, tuple[int, str]]:
        """The same, each with the text that was committed beside it."""
        try:
            offsets = await self._client.list_consumer_group_offsets(group)
        except (KafkaError, OSError) as error:
            raise self._away(error) from error
        return {
            (place.topic, place.partition): (entry.offset, entry.metadata or "")
            for place, entry in offsets.items()
            if entry.offset >= 0
        }

    async def members(self, group: str) -> int:
        """How many consumers the group has now."""
        try:
            (answer,) = await self._client.describe_consumer_groups([group])
        except (KafkaError, OSError) as error:
            raise self._away(error) from error
        return sum(len(described["members"]) for described in answer.to_object()["groups"])

    async def begin_at(
        self,
        group: str,
        offsets: Mapping[TopicPartition, int],
        metadata: Mapping[TopicPartition, str] | None = None,
    ) -> None:
        """Set where a group without members begins, and the text beside each offset."""
        beside = metadata or {}
        consumer = AIOKafkaConsumer(**client_options(self._settings), group_id=group, enable_auto_commit=False)
        theirs = {KafkaPartition(*place): (offset, beside.get(place, "")) for place, offset in offsets.items()}
        try:
            await consumer.start()
            consumer.assign(list(theirs))
            await consumer.commit(theirs)
        except (KafkaError, OSError) as error:
            raise self._away(error) from error
        finally:
            await consumer.stop()

    async def delete_topics(self, topics: Collection[str]) -> None:
        """Remove topics; one that is not there is passed over."""
        try:
            answer = await self._client.delete_topics(list(topics), timeout_ms=_DELETE_MS)
        except (KafkaError, OSError) as error:
            raise self._away(error) from error
        for topic, code in answer.topic_error_codes:
            kind = for_code(code)
            if code and kind is not UnknownTopicOrPartitionError:
                raise LogUnavailableError(f"Kafka did not remove topic {topic}: {kind.__name__}")
        log.info("topics removed", topics=list(topics))

    def _away(self, error: Exception) -> LogUnavailableError:
        return LogUnavailableError(f"Kafka at {self._settings.bootstrap} did not answer: {error!r}")
