"""Consumer groups and topics from outside: how far a group is and what its offsets are of, setting where it begins, removing topics."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import structlog
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import UnknownTopicOrPartitionError, for_code

from indexer.identity import Committed, Mark
from indexer.records import TopicPartition
from runtime.kafka.clients import AdminSession, answering, consuming
from schemas.errors import LogUnavailableError
from schemas.topics import KafkaSettings

log = structlog.get_logger(__name__)

_DELETE_MS: Final = 30_000


class GroupAdmin(AdminSession):
    """Every method may raise LogUnavailableError."""

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """The offsets that the group has committed; none of a group that never did."""
        return {place: offset for place, (offset, _) in (await self.committed_with_metadata(group)).items()}

    async def committed_with_metadata(self, group: str) -> dict[TopicPartition, tuple[int, str]]:
        """The same, each with the text that was committed beside it."""
        with answering(self._settings):
            offsets = await self._client.list_consumer_group_offsets(group)
        return {
            (place.topic, place.partition): (entry.offset, entry.metadata or "")
            for place, entry in offsets.items()
            if entry.offset >= 0
        }

    async def members(self, group: str) -> int:
        """How many consumers the group has now."""
        with answering(self._settings):
            (answer,) = await self._client.describe_consumer_groups([group])
        return sum(len(described["members"]) for described in answer.to_object()["groups"])

    async def begin_at(
        self,
        group: str,
        offsets: Mapping[TopicPartition, int],
        metadata: Mapping[TopicPartition, str] | None = None,
    ) -> None:
        """Set where a group without members begins, and the text beside each offset."""
        beside = metadata or {}
        theirs = {KafkaPartition(*place): (offset, beside.get(place, "")) for place, offset in offsets.items()}
        async with consuming(self._settings, group_id=group) as consumer:
            consumer.assign(list(theirs))
            await consumer.commit(theirs)

    async def delete_topics(self, topics: Collection[str]) -> None:
        """Remove topics; one that is not there is passed over."""
        with answering(self._settings):
            answer = await self._client.delete_topics(list(topics), timeout_ms=_DELETE_MS)
        for topic, code in answer.topic_error_codes:
            kind = for_code(code)
            if code and kind is not UnknownTopicOrPartitionError:
                raise LogUnavailableError(f"Kafka did not remove topic {topic}: {kind.__name__}")
        log.info("topics removed", topics=list(topics))


class KafkaGroupOffsets:
    """The port `GroupOffsets` of the guard for one group; a short-lived client for each question."""

    def __init__(self, settings: KafkaSettings, group: str) -> None:
        self._settings = settings
        self._group = group

    async def committed(self) -> Mapping[TopicPartition, Committed]:
        """Offsets and what stands beside them."""
        async with GroupAdmin(self._settings) as admin:
            held = await admin.committed_with_metadata(self._group)
        return {place: Committed(offset, Mark.parse(metadata)) for place, (offset, metadata) in held.items()}

    async def members(self) -> int:
        """How many consumers the group has now."""
        async with GroupAdmin(self._settings) as admin:
            return await admin.members(self._group)

    async def begin_at(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Set where a group without members begins."""
        async with GroupAdmin(self._settings) as admin:
            await admin.begin_at(
                self._group,
                {place: entry.offset for place, entry in offsets.items()},
                {place: entry.mark.to_metadata() for place, entry in offsets.items()},
            )
