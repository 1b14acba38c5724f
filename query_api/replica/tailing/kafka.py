"""Kafka as a replica meets it: the documents log, read without a group and committed records only, and the dead-letter topic."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from query_api.replica.settings import TailSettings
from query_api.replica.tailing.letters import ReplicaLetter
from query_api.replica.tailing.log import Bounds, LogRecord, LogView, Polled
from runtime.clock import SYSTEM_CLOCK
from runtime.kafka.clients import administering, answering, fetched, open_consumer, stopped
from runtime.kafka.fitting import append_letters
from runtime.kafka.log_writer import LogWriter
from runtime.kafka.topic_identity import TopicIds, log_identity
from schemas.errors import LogUnavailableError
from schemas.topics import KafkaSettings

_REQUEST_TIMEOUT_MS: Final = 10_000
_CLIENT_ID: Final = "ferroflux-replica"


class KafkaDocumentLog:
    """Follows `kafka.topics.documents`, or the compacted topic that is named. Bound to the event loop that opens it.

    `log_id` replaces the ids of cluster and topic where a broker's own mean nothing (the embedded broker).
    """

    def __init__(self, kafka: KafkaSettings, tail: TailSettings, *, log_id: str | None = None, topic: str = "") -> None:
        self._kafka = kafka
        self._tail = tail
        self._log_id = log_id
        self._topic = topic or kafka.topics.documents
        self._topic_ids = TopicIds(kafka) if log_id is None else None
        self._known_id: str | None = None
        self._looked_at = 0.0
        self._looking: asyncio.Task[str | None] | None = None
        self._consumer: Any = None
        self._followed: tuple[TopicPartition, ...] = ()
        self._followed_since = 0.0

    async def open(self) -> LogView:
        """Connect, and read the topic's bounds; the broker must answer and the topic exist."""
        log_id, partitions = await self._describe()
        with answering(self._kafka):
            self._consumer = await open_consumer(
                self._kafka,
                client_id=_CLIENT_ID,
                auto_offset_reset="none",
                fetch_max_wait_ms=self._tail.fetch_wait_ms,
                max_poll_records=self._tail.batch_records,
                metadata_max_age_ms=int(self._tail.metadata_age_s * 1000),
                request_timeout_ms=_REQUEST_TIMEOUT_MS,
            )
            begins = await self._consumer.beginning_offsets(partitions)
            ends = await self._consumer.end_offsets(partitions)
        return LogView(log_id, {tp.partition: Bounds(begins[tp], ends[tp]) for tp in partitions})

    def follow(self, positions: Mapping[int, int]) -> None:
        """Assign the partitions and seek; nothing is fetched twice that is not asked for twice."""
        self._followed = tuple(TopicPartition(self._topic, number) for number in sorted(positions))
        self._consumer.assign(list(self._followed))
        for partition in self._followed:
            self._consumer.seek(partition, positions[partition.partition])
        self._followed_since = SYSTEM_CLOCK.now_us() / 1e6

    async def poll(self) -> Polled:
        """Records of all partitions, those of one partition in order."""
        self._check_topic()
        try:
            batches = await fetched(self._consumer, timeout_ms=self._tail.poll_timeout_ms)
        except (KafkaError, OSError) as error:
            raise LogUnavailableError(f"reading {self._topic} failed: {error!r}") from error
        if not batches:
            self._check_heard()
        records = [
            LogRecord(
                tp.partition, record.offset, record.key, record.value, record.timestamp, tuple(record.headers or ())
            )
            for tp, batch in batches.items()
            for record in batch
        ]
        positions = {tp.partition: await self._consumer.position(tp) for tp in self._followed}
        # Of transactions that are still open nothing is readable: the end for us is the last stable offset.
        ends = {tp.partition: self._consumer.last_stable_offset(tp) for tp in self._followed}
        return Polled(records, positions, {number: end for number, end in ends.items() if end is not None and end >= 0})

    def partitions(self) -> frozenset[int]:
        """As in the client's newest metadata, which it renews every `metadata_age_s`."""
        return frozenset(self._consumer.partitions_for_topic(self._topic) or ())

    async def close(self) -> None:
        """Stop the consumer; a broker that is away cannot keep us."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        consumer, self._consumer = self._consumer, None
        await stopped(consumer)

    def _check_heard(self) -> None:
        """Tell a broker that is away by the age of its newest answer: aiokafka itself retries in silence, for ever."""
        answers = [self._consumer.last_poll_timestamp(tp) for tp in self._followed]
        heard = max([answer / 1000 for answer in answers if answer is not None], default=0.0)
        silent = SYSTEM_CLOCK.now_us() / 1e6 - max(heard, self._followed_since)
        if self._followed and silent > self._tail.silence_s:
            raise LogUnavailableError(f"Kafka at {self._kafka.bootstrap} has answered no fetch for {silent:.0f} s")

    async def _describe(self) -> tuple[str, list[TopicPartition]]:
        async with administering(self._kafka, client_id=_CLIENT_ID, request_timeout_ms=_REQUEST_TIMEOUT_MS) as admin:
            cluster = await admin.describe_cluster()
            (topic,) = await admin.describe_topics([self._topic])
        numbers = sorted(entry["partition"] for entry in topic["partitions"])
        if not numbers:
            raise LogUnavailableError(
                f"there is no topic {self._topic} yet; the indexer creates it at its start, or your operator does"
            )
        places = [TopicPartition(self._topic, number) for number in numbers]
        if self._log_id is not None:
            return self._log_id, places
        self._known_id, self._looked_at = await self._topic_id(), SYSTEM_CLOCK.monotonic()
        if self._known_id is None and self._topic_ids is not None and not self._topic_ids.is_unknowable(self._topic):
            raise LogUnavailableError(f"Kafka does not describe topic {self._topic} yet")
        return log_identity(str(cluster["cluster_id"]), self._known_id), places

    async def _topic_id(self) -> str | None:
        return None if self._topic_ids is None else (await self._topic_ids.of([self._topic])).get(self._topic)

    def _check_topic(self) -> None:
        """Now and then, whether the topic is still the one that was opened: the former's offsets would go on in the new one.

        Nobody waits for the answer; where none comes, the next look may have more luck.
        """
        if self._looking is not None and self._looking.done():
            looked, self._looking = self._looking, None
            if not looked.cancelled() and looked.exception() is None and looked.result() not in (None, self._known_id):
                raise LogUnavailableError(
                    f"topic {self._topic} was deleted and made again; it is read from its beginning"
                )
        due = SYSTEM_CLOCK.monotonic() - self._looked_at >= self._tail.metadata_age_s
        if self._known_id is not None and self._looking is None and due:
            self._looked_at = SYSTEM_CLOCK.monotonic()
            self._looking = asyncio.create_task(self._topic_id())


class KafkaLetterBox:
    """The port `LetterBox` on one topic. The writer connects with the first letter, and stays its owner's to stop."""

    def __init__(self, writer: LogWriter, topic: str) -> None:
        self._writer = writer
        self._topic = topic

    async def send(self, letters: Sequence[ReplicaLetter]) -> None:
        """Append letters; each in a form that the topic takes.

        Raises:
            LogUnavailableError: not all were confirmed.
            ConfigurationError: we may not write to the topic, or it takes not even the smallest form.
        """
        await append_letters(self._writer, self._topic, letters, ReplicaLetter.fitting)
