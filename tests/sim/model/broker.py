"""The model of Kafka: partitioned topics with retention, and producers whose calls can fail before, after and in the middle."""

import asyncio
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from indexer.records import InboundRecord, TopicPartition
from schemas.errors import LogUnavailableError
from tests.sim.model.world import Fault, Process, World

CHANGES, BULK, DOCUMENTS, DEAD_LETTERS = "changes", "bulk", "documents", "dead letters"


@dataclass(slots=True)
class Broker:
    """Topics whose partitions are lists of records; the lists survive everything."""

    world: World
    partitions: Mapping[str, int]
    log_id: str = "log-1"
    logs: dict[TopicPartition, list[InboundRecord]] = field(default_factory=dict)
    begins: dict[TopicPartition, int] = field(default_factory=dict)
    """Where retention has come to: nobody reads what lies before."""
    topic_ids: dict[str, str] = field(default_factory=dict)
    _waiting: dict[asyncio.Future[None], None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.logs = {(topic, number): [] for topic, count in self.partitions.items() for number in range(count)}
        self.begins = dict.fromkeys(self.logs, 0)
        self.topic_ids = {topic: f"{topic}-1" for topic in self.partitions}

    def append(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None
    ) -> TopicPartition:
        number = zlib.crc32(key or b"") % self.partitions[topic] if partition is None else partition
        rows = self.logs[topic, number]
        rows.append(InboundRecord(topic, number, len(rows), self.world.now_us() // 1000, key, value))
        waiting, self._waiting = self._waiting, {}
        for future in waiting:
            if not future.done():
                future.set_result(None)
        return topic, number

    async def appended(self, timeout_s: float) -> None:
        """Wait until something is appended anywhere, or for a while."""
        future: asyncio.Future[None] = self.world.loop.create_future()
        self._waiting[future] = None
        timer = self.world.loop.call_later(timeout_s, lambda: None if future.done() else future.set_result(None))
        try:
            await future
        finally:
            timer.cancel()
            self._waiting.pop(future, None)

    def ends(self, *topics: str) -> dict[TopicPartition, int]:
        return {place: len(rows) for place, rows in self.logs.items() if place[0] in topics}

    def retained(self, *topics: str) -> list[InboundRecord]:
        """What a reader from the beginning gets."""
        return [row for place, rows in self.logs.items() if place[0] in topics for row in rows[self.begins[place] :]]

    def forget(self, *topics: str) -> None:
        """Retention has passed over everything that these topics hold now."""
        self.begins |= self.ends(*topics)

    def make_again(self, topic: str) -> None:
        """The topic is deleted, and another of its name created."""
        self.topic_ids[topic] = f"{topic}-2"
        for place in self.ends(topic):
            self.logs[place] = []
            self.begins[place] = 0


class Sender:
    """A producer: records of one partition arrive together and in order; a failed call may have appended some, or may yet."""

    def __init__(self, broker: Broker, process: Process) -> None:
        self._broker = broker
        self._process = process

    async def send(self, topic: str, records: Sequence[tuple[bytes | None, bytes | None, str]]) -> None:
        """Append (key, value, what to say in the trace)."""
        world = self._broker.world

        def effect(fault: Fault | None) -> None:
            count = world.rng.randrange(len(records) + 1) if fault is Fault.HALF else len(records)
            for key, value, said in records[:count]:
                self._broker.append(topic, key, value)
                world.note("log", topic, "took", self._process.name, said)

        faults = (Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.LATE, Fault.HALF)
        await world.call(self._process, effect, kinds=faults, error=LogUnavailableError)
