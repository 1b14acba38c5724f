"""The model of Kafka: partitioned topics, consumer groups with generations, and clients that can be stopped or lose answers."""

import asyncio
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from indexer.ports import LeaseLostError
from indexer.records import InboundRecord, TopicPartition
from schemas.errors import LogUnavailableError
from tests.sim.world import Fault, Process, World

CHANGES, DOCUMENTS, DEAD_LETTERS = "changes", "documents", "dead letters"

SESSION_S = 1.5
REBALANCE_S = 2.0
HEARTBEAT_S = 0.4


@dataclass(slots=True)
class Broker:
    """Topics whose partitions are lists of records; the lists survive everything."""

    world: World
    partitions: Mapping[str, int]
    logs: dict[TopicPartition, list[InboundRecord]] = field(default_factory=dict)
    _waiting: dict[asyncio.Future[None], None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.logs = {(topic, number): [] for topic, count in self.partitions.items() for number in range(count)}

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
        timer = self.world.loop.call_later(timeout_s, lambda: future.done() or future.set_result(None))
        try:
            await future
        finally:
            timer.cancel()
            self._waiting.pop(future, None)

    def ends(self, topic: str) -> dict[TopicPartition, int]:
        return {place: len(rows) for place, rows in self.logs.items() if place[0] == topic}


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


@dataclass(slots=True)
class Group:
    """A consumer group at its coordinator: members, generation, assignment, committed offsets."""

    world: World
    broker: Broker
    topic: str
    generation: int = 0
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    assignment: dict[str, frozenset[TopicPartition]] = field(default_factory=dict)
    _seen: dict[str, float] = field(default_factory=dict)
    _joining: dict[str, asyncio.Future[None]] = field(default_factory=dict)
    _deadline: asyncio.TimerHandle | None = None

    async def join(self, member: str) -> tuple[int, frozenset[TopicPartition]]:
        """Ask for a new assignment; answered when all members asked, or the others' time is over."""
        self._seen[member] = self.world.now
        future: asyncio.Future[None] = self.world.loop.create_future()
        self._joining[member] = future
        if self._deadline is None:
            self._deadline = self.world.loop.call_later(REBALANCE_S, self._complete)
        if self._seen.keys() <= self._joining.keys():
            self._deadline.cancel()
            self._deadline = self.world.loop.call_later(0.05, self._complete)
        await future
        return self.generation, self.assignment.get(member, frozenset())

    def heartbeat(self, member: str, generation: int) -> bool:
        """Whether the member may go on as it is; False: it must give up its partitions and join again."""
        for other, seen in list(self._seen.items()):
            if self.world.now - seen > SESSION_S and other not in self._joining:
                self._evict(other)
        if member not in self._seen or generation != self.generation:
            return False
        self._seen[member] = self.world.now
        return self._deadline is None

    def commit(self, member: str, generation: int, offsets: Mapping[TopicPartition, int]) -> bool:
        if member not in self._seen or generation != self.generation:
            return False
        self.committed.update(offsets)
        self.world.note("group", self.topic, "committed", member, {place[1]: at for place, at in offsets.items()})
        return True

    def leave(self, member: str) -> None:
        self._seen.pop(member, None)

    def _evict(self, member: str) -> None:
        self._seen.pop(member, None)
        self.world.note("group", self.topic, "put out", member)
        if self._deadline is None:
            self._deadline = self.world.loop.call_later(REBALANCE_S, self._complete)

    def _complete(self) -> None:
        self._deadline = None
        self._seen = {member: seen for member, seen in self._seen.items() if member in self._joining}
        joining, self._joining = self._joining, {}
        self.generation += 1
        members = sorted(joining)
        places = sorted(self.broker.ends(self.topic))
        self.world.rng.shuffle(places)
        self.assignment = {m: frozenset(places[i :: len(members)]) for i, m in enumerate(members)}
        for member in members:
            self._seen[member] = self.world.now
            self.world.note("group", self.topic, "gave", member, sorted(place[1] for place in self.assignment[member]))
            if not joining[member].done():
                joining[member].set_result(None)


class GroupClient:
    """A member's side: fetches without asking the group (as Kafka allows), learns of a rebalance by its heartbeat."""

    def __init__(self, group: Group, process: Process, listener: Any = None) -> None:
        self.group = group
        self._process = process
        self._listener = listener
        self.generation = -1
        self.positions: dict[TopicPartition, int] = {}
        self.revocations = 0
        """How often this member has answered a revocation."""

    async def heartbeats(self) -> None:
        """The client's background: join, beat, and on a rebalance revoke and join again."""
        while True:
            await self._process.point()
            if not self.group.heartbeat(self._process.name, self.generation):
                await self._rejoin()
            await asyncio.sleep(HEARTBEAT_S * self.group.world.rng.uniform(0.5, 1.0))

    def fetch(self, most: int, limit: Callable[[], int] | None = None) -> list[InboundRecord]:
        """What the partitions hold beyond the positions, which move on; partitions are mixed at random."""
        rng, records = self.group.world.rng, []
        places = list(self.positions)
        rng.shuffle(places)
        for place in places:
            rows = self.group.broker.logs[place]
            at = self.positions[place]
            if not self.group.world.calm and at and rng.random() < 0.02:
                at = rng.randrange(at)  # delivered twice
            taken = rows[at : at + rng.randint(1, most)]
            self.positions[place] = at + len(taken)
            records += taken
            if limit is not None and len(records) >= limit():
                break
        return records

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        if not next_offsets.keys() <= self.positions.keys():
            raise LeaseLostError  # as aiokafka's IllegalStateError: the partition is not assigned
        generation = self.generation
        accepted = await self.group.world.call(
            self._process,
            lambda _: self.group.commit(self._process.name, generation, next_offsets),
            error=LogUnavailableError,
        )
        if not accepted:
            raise LeaseLostError

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        for place, offset in offsets.items():
            if place in self.positions:
                self.positions[place] = offset

    def restart(self) -> None:
        """What a new consumer of the same member reads from: the committed offsets."""
        self.positions = {place: self.group.committed.get(place, 0) for place in self.positions}

    async def _rejoin(self) -> None:
        if self._listener is not None and self.generation >= 0:
            await self._listener.on_partitions_revoked(_places(self.positions))
        self.revocations += 1
        self.positions = {}
        await self._process.point()
        self.generation, places = await self.group.join(self._process.name)
        await self._process.point()
        self.positions = {place: self.group.committed.get(place, 0) for place in sorted(places)}
        if self._listener is not None:
            await self._listener.on_partitions_assigned(_places(places))


def _places(places: Iterable[TopicPartition]) -> set[Any]:
    from aiokafka import TopicPartition as KafkaPartition  # noqa: PLC0415 - only the real listener wants its type

    return {KafkaPartition(topic, number) for topic, number in places}
