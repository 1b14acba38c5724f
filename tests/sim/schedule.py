"""One schedule: a seed decides the history, the faults and every latency; when the chaos is over, everything must agree."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from retrieval.text.memory import MemoryTextStore
from tests.sim.broker import CHANGES, DEAD_LETTERS, DOCUMENTS, Broker, Group
from tests.sim.guards import Guards
from tests.sim.histories import history
from tests.sim.loop import SimLoop
from tests.sim.oracle import differences
from tests.sim.processes import IndexerProcess, ReplicaProcess
from tests.sim.store import ModelStore
from tests.sim.world import Process, Stop, Weather, World

CHAOS_S: Final = 6.0
SETTLE_WITHIN_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one schedule: empty `failures` is a pass. `trace` is what happened, in order."""

    seed: int
    failures: tuple[str, ...]
    trace: Sequence[tuple[Any, ...]] = field(repr=False, default=())
    virtual_s: float = 0.0

    def report(self) -> str:
        """The readable trace of a run, failures last."""
        lines = [f"{at:9.4f}  {'  '.join(map(str, what))}" for at, *what in self.trace]
        return "\n".join([*lines, *(f"FAILURE: {failure}" for failure in self.failures)])


def run_schedule(seed: int, guards: Guards | None = None) -> Outcome:
    """Run one schedule to its end on a loop of its own."""
    rng = random.Random(seed)
    loop = SimLoop(rng)
    world = World(loop, rng, guards or Guards())
    try:
        failures = loop.run_until_complete(_Schedule(world).run())
    finally:
        loop.close()
    return Outcome(seed, tuple(failures), world.trace, loop.now)


class _Schedule:
    def __init__(self, world: World) -> None:
        self._world = world
        rng = world.rng
        self._broker = Broker(world, {CHANGES: rng.choice((2, 3)), DOCUMENTS: 2, DEAD_LETTERS: 1})
        self._store = ModelStore(world)
        self._text = MemoryTextStore()
        self._changes = Group(world, self._broker, CHANGES)
        self._documents = Group(world, self._broker, DOCUMENTS)
        self._arrivals = history(
            rng, events=rng.randint(6, 16), skus=rng.randint(1, 3), partitions=self._broker.partitions[CHANGES], over_s=CHAOS_S * 0.6
        )  # fmt: skip
        self._indexers: list[IndexerProcess] = []
        self._replica: ReplicaProcess
        self._started = 0
        world.weather = Weather(fault_rate=rng.choice((0.0, 0.02, 0.08)), mean_s=rng.choice((0.002, 0.01, 0.03)))
        world.on_death = self._succeed

    async def run(self) -> list[str]:
        world, rng = self._world, self._world.rng
        for _ in range(rng.choice((1, 2, 2, 3))):
            self._start_indexer()
        self._start_replica()
        producing = asyncio.ensure_future(self._produce())
        if rng.random() < 0.4:
            world.loop.call_later(rng.uniform(0, CHAOS_S), self._slow_down)
        if rng.random() < 0.4:
            world.loop.call_later(rng.uniform(0, CHAOS_S), self._start_indexer)
        await producing
        await asyncio.sleep(CHAOS_S - world.now)
        self._calm_down()
        settled = await self._settled()
        failures = list(dict.fromkeys(world.violations))
        if not settled:
            failures.append(f"not settled after {SETTLE_WITHIN_S:.0f} simulated seconds")
        failures += differences(self._arrivals, self._store, self._broker, self._text)
        await self._end()
        return failures

    def _start_indexer(self) -> None:
        self._started += 1
        process = Process(self._world, f"indexer-{self._started}", self._stops())
        indexer = IndexerProcess(
            process, store=self._store, broker=self._broker, changes=self._changes, documents=self._documents
        )
        self._indexers.append(indexer)
        indexer.start()

    def _start_replica(self) -> None:
        self._started += 1
        process = Process(self._world, f"replica-{self._started}", {})
        self._replica = ReplicaProcess(process, self._broker, self._text)
        self._replica.start()

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
        again = self._start_replica if process.name.startswith("replica") else self._start_indexer
        self._world.loop.call_later(self._world.rng.uniform(0.05, 1.5), again)

    def _slow_down(self) -> None:
        self._world.weather.slow_until = self._world.now + self._world.rng.uniform(0.5, 2.0)
        self._world.note("store and log", "slow")

    async def _produce(self) -> None:
        for arrival in self._arrivals:
            await asyncio.sleep(max(0.0, arrival.at_s - self._world.now))
            self._broker.append(CHANGES, arrival.key, arrival.value, arrival.partition)
            said = arrival.event and (arrival.event.facet, f"v{arrival.event.version.sequence}", arrival.event.fields)
            self._world.note("producer", arrival.key.decode(), f"partition {arrival.partition}", said or "poison")

    def _calm_down(self) -> None:
        self._world.calm = True
        self._world.weather.slow_until = 0.0
        self._world.note("calm")
        for indexer in self._indexers:
            indexer.process.thaw()

    async def _settled(self) -> bool:
        """Wait until all is committed, verified and in the replica, and stays so while late requests may still land."""
        quiet = 0
        while self._world.now < CHAOS_S + SETTLE_WITHIN_S:
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
        return all(
            group.committed.get(place, 0) >= end
            for group in groups
            for place, end in self._broker.ends(group.topic).items()
        ) and all(held.get(number) == end for (_, number), end in self._broker.ends(DOCUMENTS).items())

    async def _end(self) -> None:
        self._world.on_death = lambda process: None
        for process in [*(indexer.process for indexer in self._indexers), self._replica.process]:
            process.kill()
        for _ in range(3):
            await asyncio.sleep(0.1)
