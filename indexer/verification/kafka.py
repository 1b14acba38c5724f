"""The documents topic as the verifiers' feed: a consumer group of their own, committed records only, explicit offsets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition as KafkaPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from indexer.identity import OffsetGuard
from indexer.ports import LeaseLostError
from indexer.records import TopicPartition
from indexer.verification.feed import FedRecord
from runtime.kafka.clients import fetched, open_consumer, stopped
from schemas.errors import LogUnavailableError
from schemas.topics import KafkaSettings

_POLL_MS: Final = 500
_RECORDS: Final = 2000
_CALL_SECONDS: Final = 10.0


class KafkaDocumentFeed:
    """The port `DocumentFeed` on Kafka. A new group reads the topic from its beginning once."""

    def __init__(
        self, kafka: KafkaSettings, *, group_id: str, metadata_age_s: float = 5.0, guard: OffsetGuard | None = None
    ) -> None:
        """`guard` compares the topic with the one that the group's offsets are of."""
        self._guard = guard
        self._kafka = kafka
        self._group_id = group_id
        self._metadata_age_s = metadata_age_s
        self._consumer: Any = None
        self._rebalances = _Rebalances()

    async def open(self) -> None:
        """Join the group.

        Raises:
            LogUnavailableError: no broker answered, or another member still reads a topic that was made again.
        """
        if self._guard is not None:
            await self._guard.settle()
        self._consumer = await open_consumer(
            self._kafka,
            group_id=self._group_id,
            client_id=self._group_id,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=_POLL_MS,
            metadata_max_age_ms=int(self._metadata_age_s * 1000),
        )
        self._consumer.subscribe([self._kafka.topics.documents], listener=self._rebalances)

    async def poll(self) -> Sequence[FedRecord]:
        """Records of all partitions, those of one partition in order."""
        try:
            batches = await fetched(self._consumer, timeout_ms=_POLL_MS, max_records=_RECORDS)
        except (KafkaError, OSError) as error:
            raise LogUnavailableError(f"the verifier could not read the documents topic: {error!r}") from error
        return [
            FedRecord((place.topic, place.partition), record.offset, record.key, record.value)
            for place, batch in batches.items()
            for record in batch
        ]

    @property
    def epoch(self) -> int:
        """Grows with every rebalance."""
        return self._rebalances.count

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        """Commit explicit offsets."""
        beside = (lambda _: "") if self._guard is None else self._guard.beside
        offsets = {
            KafkaPartition(topic, number): (offset, beside(topic)) for (topic, number), offset in next_offsets.items()
        }
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                await self._consumer.commit(offsets)
        except (IllegalStateError, CommitFailedError) as error:
            raise LeaseLostError from error
        except (KafkaError, TimeoutError) as error:
            raise LogUnavailableError(f"Kafka did not confirm the verifier's offsets: {error!r}") from error

    async def close(self) -> None:
        """Leave the group; a broker that is away cannot keep us."""
        consumer, self._consumer = self._consumer, None
        await stopped(consumer)


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Counts them, on both sides: what was read before is worth nothing from the first moment on."""

    count = 0

    async def on_partitions_revoked(self, revoked: object) -> None:
        """Partitions are about to go."""
        del revoked
        self.count += 1

    async def on_partitions_assigned(self, assigned: object) -> None:
        """Partitions have come."""
        del assigned
        self.count += 1
