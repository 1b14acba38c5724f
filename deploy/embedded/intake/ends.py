"""Where topics end now, and waiting until a stage has come that far: the basis of every "until it is visible"."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiokafka import TopicPartition as KafkaPartition

from deploy.embedded.broker import PARTITIONS
from deploy.embedded.intake.progress import LogProgress, Stage
from indexer.records import TopicPartition
from runtime.kafka.clients import open_consumer, stopped
from schemas.topics import KafkaSettings


class LogEnds:
    """Asks the broker for the ends of topics. Bound to the event loop that opens it."""

    def __init__(self, address: str, topics: Iterable[str]) -> None:
        self._address = address
        self._partitions = [KafkaPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        self._consumer: Any = None

    async def open(self) -> None:
        """Connect; a consumer without a group and without an assignment."""
        self._consumer = await open_consumer(KafkaSettings(bootstrap=self._address), isolation_level="read_uncommitted")

    async def close(self) -> None:
        """Disconnect."""
        await stopped(self._consumer)

    async def now(self) -> dict[TopicPartition, int]:
        """The next offset of every partition that holds, or held, a record."""
        ends = await self._consumer.end_offsets(self._partitions)
        return {(place.topic, place.partition): end for place, end in ends.items() if end > 0}

    async def reached(self, progress: LogProgress, stage: Stage) -> None:
        """Return when everything that is in the topics now has come to this stage."""
        await progress.reached(stage, await self.now())
