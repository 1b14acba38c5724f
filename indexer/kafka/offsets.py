"""A group's offsets with their marks, on Kafka: the port `GroupOffsets` of the guard."""

from __future__ import annotations

from collections.abc import Mapping

from indexer.identity.marks import Committed, Mark
from indexer.kafka.groups import GroupAdmin
from indexer.records import TopicPartition
from schemas.topics import KafkaSettings


class KafkaGroupOffsets:
    """One group; a short-lived client for each question."""

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
