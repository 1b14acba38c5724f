"""The model of consumer groups: a coordinator with generations and committed offsets, and a member's side of it."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import TopicPartition as KafkaPartition

from indexer.ports import LeaseLostError
from indexer.records import InboundRecord, TopicPartition
from schemas.errors import LogUnavailableError
from tests.sim.model.broker import Broker
from tests.sim.model.world import Process, World

SESSION_S: Final = 1.5
REBALANCE_S: Final = 2.0
HEARTBEAT_S: Final = 0.4


@dataclass(slots=True)
class Group:
    """A consumer group at its coordinator: members, generation, assignment, committed offsets."""

    world: World
    broker: Broker
    topics: tuple[str, ...]
    generation: int = 0
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    marks: dict[TopicPartition, str] = field(default_factory=dict)
    """What was committed beside each offset."""
    reached: dict[TopicPartition, int] = field(default_factory=dict)
    """How far the group has ever committed: a late request can set a committed offset back, which repeats work and no more."""
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

    def commit(
        self,
        member: str,
        generation: int,
        offsets: Mapping[TopicPartition, int],
        marks: Mapping[TopicPartition, str] | None = None,
    ) -> bool:
        if member not in self._seen or generation != self.generation:
            return False
        self.committed.update(offsets)
        self.marks |= marks or {}
        self.reached |= {place: max(at, self.reached.get(place, 0)) for place, at in offsets.items()}
        self.world.note("group", "committed", member, {_short(place): at for place, at in offsets.items()})
        return True

    def start_of(self, place: TopicPartition) -> int:
        """Where a member begins: at what is committed, or where retention has come to ("earliest")."""
        return max(self.committed.get(place, 0), self.broker.begins[place])

    def present(self) -> int:
        """How many members there are; who has not been heard of for a session counts no more."""
        return sum(self.world.now - seen <= SESSION_S for seen in self._seen.values())

    def leave(self, member: str) -> None:
        self._seen.pop(member, None)

    def _evict(self, member: str) -> None:
        self._seen.pop(member, None)
        self.world.note("group", "put out", member, "of", *self.topics)
        if self._deadline is None:
            self._deadline = self.world.loop.call_later(REBALANCE_S, self._complete)

    def _complete(self) -> None:
        self._deadline = None
        self._seen = {member: seen for member, seen in self._seen.items() if member in self._joining}
        joining, self._joining = self._joining, {}
        self.generation += 1
        members = sorted(joining)
        places = sorted(self.broker.ends(*self.topics))
        self.world.rng.shuffle(places)
        self.assignment = {m: frozenset(places[i :: len(members)]) for i, m in enumerate(members)}
        for member in members:
            self._seen[member] = self.world.now
            self.world.note("group", "gave", member, sorted(map(_short, self.assignment[member])))
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
        self.beside: Callable[[str], str] = lambda _: ""
        """What is committed beside an offset of a topic."""
        self.revocations = 0
        """How often this member has answered a revocation."""

    async def heartbeats(self) -> None:
        """The client's background: join, beat, and on a rebalance revoke and join again."""
        while True:
            await self._process.point()
            if not self.group.heartbeat(self._process.name, self.generation):
                await self._rejoin()
            await asyncio.sleep(HEARTBEAT_S * self.group.world.rng.uniform(0.5, 1.0))

    def fetch(
        self, most: int, limit: Callable[[], int] | None = None, topics: Collection[str] | None = None
    ) -> list[InboundRecord]:
        """What the partitions (of some topics) hold beyond the positions, which move on; partitions are mixed at random."""
        rng, records = self.group.world.rng, []
        places = [place for place in self.positions if topics is None or place[0] in topics]
        rng.shuffle(places)
        for place in places:
            rows = self.group.broker.logs[place]
            at, begin = self.positions[place], self.group.broker.begins[place]
            at = at if at <= len(rows) else begin  # out of range: the policy is "earliest"
            if not self.group.world.calm and at > begin and rng.random() < 0.02:
                at = rng.randrange(begin, at)  # delivered twice
            taken = rows[at : at + rng.randint(1, most)]
            self.positions[place] = at + len(taken)
            records += taken
            if limit is not None and len(records) >= limit():
                break
        return records

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        if not next_offsets.keys() <= self.positions.keys():
            raise LeaseLostError  # as aiokafka's IllegalStateError: the partition is not assigned
        generation, marks = self.generation, {place: self.beside(place[0]) for place in next_offsets}
        accepted = await self.group.world.call(
            self._process,
            lambda _: self.group.commit(self._process.name, generation, next_offsets, marks),
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
        self.positions = {place: self.group.start_of(place) for place in self.positions}

    async def _rejoin(self) -> None:
        if self._listener is not None and self.generation >= 0:
            await self._listener.on_partitions_revoked(_places(self.positions))
        self.revocations += 1
        self.positions = {}
        await self._process.point()
        self.generation, places = await self.group.join(self._process.name)
        await self._process.point()
        self.positions = {place: self.group.start_of(place) for place in sorted(places)}
        if self._listener is not None:
            await self._listener.on_partitions_assigned(_places(places))


def _places(places: Iterable[TopicPartition]) -> set[Any]:
    return {KafkaPartition(topic, number) for topic, number in places}


def _short(place: TopicPartition) -> str:
    return f"{place[0]}/{place[1]}"
