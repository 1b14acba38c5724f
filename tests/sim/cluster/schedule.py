"""One schedule of an installation: faults and history in one act or in two; when the chaos is over, everything must agree.

The second act begins after the change log's retention has passed over the first: tombstones of the first are due for
collection while products come back, sources repeat old rows, and all the faults of the first act happen again.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from indexer.identity import Mark, StoreReplacedError
from retrieval.text.memory import MemoryTextStore
from schemas.errors import FatalError
from tests.sim.cluster.identities import IdentityFault, RestoreProcess, guard_of, make_again
from tests.sim.cluster.indexer import IndexerProcess
from tests.sim.cluster.operations import OLDER_THAN_S, CollectionProcess, KeptPosition, ReplayProcess
from tests.sim.cluster.oracle import differences
from tests.sim.cluster.replica import ReplicaProcess
from tests.sim.model.broker import BULK, CHANGES, DEAD_LETTERS, DOCUMENTS, Broker
from tests.sim.model.feeds import FED
from tests.sim.model.groups import Group
from tests.sim.model.histories import Arrival, history, in_order, repeated
from tests.sim.model.store import ModelStore
from tests.sim.model.world import Process, Stop, Weather, World

CHAOS_S: Final = 6.0
SETTLE_WITHIN_S: Final = 120.0
_RETENTION_S: Final = OLDER_THAN_S + 10.0


class ClusterSchedule:
    """Indexers, a replica, and the operator's jobs."""

    def __init__(self, world: World) -> None:
        self._world = world
        rng = world.rng
        self._partitions = rng.choice((2, 3))
        self._broker = Broker(world, {CHANGES: self._partitions, BULK: self._partitions, DOCUMENTS: 2, DEAD_LETTERS: 1})
        self._store = ModelStore(world)
        self._text = MemoryTextStore()
        self._changes = Group(world, self._broker, (CHANGES, BULK))
        self._documents = Group(world, self._broker, (DOCUMENTS,))
        self._skus = rng.randint(1, 3)
        self._arrivals: list[Arrival] = []
        self._indexers: list[IndexerProcess] = []
        self._jobs: list[Process] = []
        self._restarts: dict[str, Callable[[], None]] = {}
        self._replica: ReplicaProcess
        self._started = 0
        self._restore: Process | None = None
        self._fault = IdentityFault.of(world)
        if self._fault is not None:
            # One at a time: records of a topic made again have other coordinates and other log times, which the oracles of these two read.
            world.oddities.kind = None
            world.feeds.active = False
        world.on_death = self._succeed

    async def run(self) -> list[str]:
        rng = self._world.rng
        for _ in range(rng.choice((1, 2, 2, 3))):
            self._start_indexer()
        self._start_replica()
        if self._fault is IdentityFault.STORE:
            self._world.loop.call_later(self._world.identities.uniform(0.5, CHAOS_S), self._store.replace)
        failures = await self._act(self._first_act())
        if self._fault is IdentityFault.TOPICS and not failures:
            make_again(self._world, self._broker, self._changes)
            self._store.log_began_at = self._world.now
            failures = await self._act(self._second_act(events=30))
        elif self._fault is None and rng.random() < 0.4 and not failures:
            await asyncio.sleep(_RETENTION_S)
            self._broker.forget(CHANGES, BULK)
            self._store.log_began_at = self._world.now
            self._world.note("the change log begins here")
            failures = await self._act(self._second_act())
        failures += list(dict.fromkeys(self._world.violations))
        failures += differences(
            self._arrivals,
            self._store,
            self._broker,
            self._text,
            poison=self._replica.writer.poison,
            set_apart=self._world.oddities.set_apart,
        )
        failures += self._world.feeds.differences(self._broker, self._arrivals)
        await self._end()
        return failures

    def _first_act(self) -> list[Arrival]:
        rng = self._world.rng
        usual = history(
            rng, events=rng.randint(6, 16), skus=self._skus, partitions=self._partitions, from_s=0.0, over_s=CHAOS_S * 0.6
        )  # fmt: skip
        return in_order([*usual, *self._odd(from_s=0.0, after=0)])

    def _second_act(self, events: int = 0) -> list[Arrival]:
        rng, now = self._world.rng, self._world.now
        usual = [arrival for arrival in self._arrivals if arrival.key != FED.kafka_key]
        last = max(a.event.version.sequence for a in usual if a.event is not None)
        new = history(
            rng, events=events or rng.randint(2, 6), skus=self._skus, partitions=self._partitions, from_s=now, over_s=CHAOS_S * 0.6,
            after=last,
        )  # fmt: skip
        for indexer in self._indexers:
            indexer.process.meet(self._stops())
        again = repeated(rng, usual, from_s=now, over_s=CHAOS_S * 0.6)
        return in_order([*new, *again, *self._odd(from_s=now, after=last)])

    def _odd(self, *, from_s: float, after: int) -> list[Arrival]:
        return self._world.oddities.records(
            partitions=self._partitions, from_s=from_s, over_s=CHAOS_S * 0.6, after=after
        )

    async def _act(self, arrivals: list[Arrival]) -> list[str]:
        """Chaos for some seconds, then calm until all has settled; says where it does not."""
        world, rng = self._world, self._world.rng
        began = world.now
        world.calm = False
        world.weather = Weather(
            fault_rate=rng.choice((0.0, 0.02, 0.08)), mean_s=rng.choice((0.002, 0.01, 0.03)), replica_s=rng.choice((0.0, 0.0, 0.0, 0.2))
        )  # fmt: skip
        if self._fault is not None:
            arrivals = [arrival for arrival in arrivals if arrival.event is not None]
        self._arrivals = [*self._arrivals, *arrivals]
        producing = asyncio.ensure_future(self._produce(arrivals))
        for share, start in (
            (0.4, self._slow_down),
            (0.4, self._start_indexer),
            (0.5, self._start_collection),
            (0.2, self._start_collection),
            (0.3, self._start_replay),
        ):
            if rng.random() < share:
                world.loop.call_later(rng.uniform(0, CHAOS_S), start)
        if world.feeds.active:
            await world.feeds.act(self._broker, self._arrivals, partitions=self._partitions, over_s=CHAOS_S * 0.8)
        await producing
        await asyncio.sleep(max(0.0, began + CHAOS_S - world.now))
        self._calm_down()
        return [] if await self._settled() else [f"not settled after {SETTLE_WITHIN_S:.0f} simulated seconds"]

    def _start_indexer(self) -> None:
        process = self._process("indexer", self._stops(), self._start_indexer)
        indexer = IndexerProcess(
            process, store=self._store, broker=self._broker, changes=self._changes, documents=self._documents
        )
        self._indexers.append(indexer)
        if self._fault is None:
            indexer.start()
        else:
            indexer.guarded_by(guard_of(process, self._store, self._broker, self._changes), self._hear)

    def _hear(self, error: FatalError) -> None:
        """The operator reads why an indexer ended, and does what it says, where nobody is at it already."""
        if not isinstance(error, StoreReplacedError) or (self._restore is not None and self._restore.busy):
            return
        process = self._restore = self._process("restore", {}, lambda: None)
        self._jobs.append(process)

        async def restore() -> None:
            await RestoreProcess(process, self._store, self._broker, self._changes).run()
            self._start_replay()

        process.spawn(restore())

    def _start_replica(self) -> None:
        process = self._process("replica", {}, self._start_replica)
        self._replica = ReplicaProcess(process, self._broker, self._text)
        self._replica.start()

    def _start_collection(self) -> None:
        """Of a collection that is killed the next is heard a day later: nobody starts it again."""
        process = self._process("gc", self._stops(), lambda: None)
        self._jobs.append(process)
        CollectionProcess(process, self._store, self._broker).start()

    def _start_replay(self, kept: KeptPosition | None = None) -> None:
        kept = kept or KeptPosition()
        process = self._process("replay", self._stops(), lambda: None if kept.done else self._start_replay(kept))
        self._jobs.append(process)
        ReplayProcess(process, self._store, self._broker, kept).start()

    def _process(self, role: str, stops: dict[int, Stop], again: Callable[[], None]) -> Process:
        self._started += 1
        process = Process(self._world, f"{role}-{self._started}", stops)
        self._restarts[process.name] = again
        return process

    def _stops(self) -> dict[int, Stop]:
        """A fate: some processes are stopped for longer than their session, and some of those die when they wake up."""
        rng, stops = self._world.rng, {}
        if rng.random() < 0.6:
            at = rng.randint(3, 90)
            stops[at] = Stop(rng.choice((0.3, 2.0, 3.0, 4.0)))
            if rng.random() < 0.6:
                stops[at + rng.randint(1, 8)] = Stop(None)
        if rng.random() < 0.3:
            stops[rng.randint(3, 120)] = Stop(None)
        return stops

    def _succeed(self, process: Process) -> None:
        """Whoever dies is started again, a little later, as another process."""
        self._world.loop.call_later(self._world.rng.uniform(0.05, 1.5), self._restarts[process.name])

    def _slow_down(self) -> None:
        self._world.weather.slow_until = self._world.now + self._world.rng.uniform(0.5, 2.0)
        self._world.note("store and log", "slow")

    async def _produce(self, arrivals: list[Arrival]) -> None:
        for arrival in arrivals:
            await asyncio.sleep(max(0.0, arrival.at_s - self._world.now))
            self._broker.append(arrival.topic, arrival.key, arrival.value, arrival.partition)
            said = arrival.event and (
                arrival.event.facet,
                f"v{arrival.event.version.sequence}",
                str(arrival.event.fields)[:80],
            )
            place = f"{arrival.topic}/{arrival.partition}"
            self._world.note("producer", arrival.key.decode(), place, said or "poison")

    def _calm_down(self) -> None:
        self._world.calm = True
        self._world.weather.slow_until = 0.0
        self._world.note("calm")
        for process in [*(indexer.process for indexer in self._indexers), *self._jobs]:
            process.thaw()

    async def _settled(self) -> bool:
        """Wait until all is committed, verified and in the replica, and stays so while late requests may still land."""
        quiet, until = 0, self._world.now + SETTLE_WITHIN_S
        while self._world.now < until:
            size = sum(map(len, self._broker.logs.values()))
            await asyncio.sleep(1.0)
            unchanged = size == sum(map(len, self._broker.logs.values()))
            quiet = quiet + 1 if unchanged and self._caught_up() else 0
            if quiet == 5:
                return True
        return False

    def _caught_up(self) -> bool:
        groups = [self._changes, self._documents] if self._world.guards.verifier else [self._changes]
        checkpoint = self._text.commit.checkpoint
        held = {} if checkpoint is None else checkpoint.offsets
        return (
            all(
                group.reached.get(place, 0) >= end
                for group in groups
                for place, end in self._broker.ends(*group.topics).items()
            )
            and all(held.get(number, 0) == end for (_, number), end in self._broker.ends(DOCUMENTS).items())
            and not any(process.alive and process.busy for process in self._jobs)
            and not self._text.commit.ledger.untold
            and self._replica.process.alive
            and self._marked()
        )

    def _marked(self) -> bool:
        """Whether what is committed is of the present topics: until then it may be read from the beginning yet."""
        if self._fault is None or not self._world.guards.topic_compared:
            return True
        return all(
            Mark.parse(self._changes.marks.get(place, "")).topic == self._broker.topic_ids[place[0]]
            for place, offset in self._changes.committed.items()
            if offset
        )

    async def _end(self) -> None:
        self._world.on_death = lambda process: None
        for process in [*(indexer.process for indexer in self._indexers), self._replica.process, *self._jobs]:
            process.kill()
        for _ in range(3):
            await asyncio.sleep(0.1)
