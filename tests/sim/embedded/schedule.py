"""One schedule of the embedded system: a producer that asks until it is answered, and a system that keeps ending.

What was answered is never sent again, so whatever is lost of it is missing at the end. What was not is sent again, and
then twice in the journal, perhaps: that may change nothing.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from ferroflux.embedded.intake.intake import ChangeIntake, Lane, OutboundChange
from schemas.errors import FerrofluxError
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET
from schemas.product.merge import ItemState, MergeOutcome, merge_all
from tests.sim.cluster.oracle import in_replica, in_store, replica_apart
from tests.sim.embedded.disk import Disk, EdgeModel, End
from tests.sim.embedded.system import SystemRun
from tests.sim.model.histories import Arrival, history
from tests.sim.model.world import Process, Stop, Weather, World

CHAOS_S: Final = 6.0
SETTLE_WITHIN_S: Final = 120.0
_PARTITIONS: Final = 3


class EmbeddedSchedule:
    """`ferroflux up` on one disk."""

    def __init__(self, world: World) -> None:
        self._world = world
        rng = world.rng
        world.weather = Weather(
            fault_rate=rng.choice((0.0, 0.0, 0.03)), mean_s=rng.choice((0.002, 0.01, 0.03)), replica_s=rng.choice((0.0, 0.0, 0.2))
        )  # fmt: skip
        self._disk = Disk(world, EdgeModel(world))
        made = history(
            rng, events=rng.randint(6, 20), skus=rng.randint(1, 3), partitions=_PARTITIONS, from_s=0.0, over_s=CHAOS_S * 0.8
        )  # fmt: skip
        self._arrivals = [arrival for arrival in made if arrival.event is not None]
        self._batches = _batches(self._arrivals, rng.randint(1, 4))
        self._unanswered = len(self._batches)
        self._told: set[SkuKey] = set()
        self._run: SystemRun
        self._runs = 0
        world.on_death = self._died

    async def run(self) -> list[str]:
        world = self._world
        self._start()
        clients = [asyncio.ensure_future(self._send(batch)) for batch in self._batches]
        ending = asyncio.ensure_future(self._endings())
        await asyncio.sleep(CHAOS_S)
        await ending
        world.calm = True
        world.note("calm")
        settled = await self._settled()
        for client in clients:
            client.cancel()
        failures = list(dict.fromkeys(world.violations))
        if not settled:
            failures.append(f"not settled after {SETTLE_WITHIN_S:.0f} simulated seconds")
        failures += self._differences()
        world.on_death = lambda process: None
        self._run.process.kill()
        self._run.close()
        for _ in range(3):
            await asyncio.sleep(0.1)
        self._disk.close()
        return failures

    def _start(self) -> None:
        self._runs += 1
        rng = self._world.rng
        # Some are killed at an exact point of their start or of their work; some of those among its first.
        stops = {rng.randint(1, rng.choice((6, 60))): Stop(None)} if rng.random() < 0.4 else {}
        self._run = SystemRun(Process(self._world, f"up-{self._runs}", stops), self._disk)
        self._run.start()

    async def _endings(self) -> None:
        """End the system again and again, at any moment of its life."""
        rng = self._world.rng
        for _ in range(rng.choice((1, 2, 3, 4))):
            await asyncio.sleep(rng.uniform(0.05, CHAOS_S / 3))
            await self._end(rng.choice((End.KILLED, End.KILLED, End.POWER_CUT, *End)))

    async def _end(self, end: End) -> None:
        run, clean = self._run, False
        if end.in_order:
            clean = await run.stop()
            if run is not self._run:
                return  # it was killed while it stopped
        self._world.on_death = lambda process: None
        run.process.kill()
        self._ended(end, clean=clean)

    def _died(self, process: Process) -> None:
        if process is self._run.process:
            self._ended(End.KILLED, clean=False)

    def _ended(self, end: End, *, clean: bool) -> None:
        self._run.close()
        self._disk.after(end, clean=clean)
        self._world.on_death = self._died
        self._start()

    async def _send(self, batch: Sequence[Arrival]) -> None:
        """Ask until it is answered, as a client does whose connection breaks."""
        rng, world = self._world.rng, self._world
        await asyncio.sleep(batch[0].at_s)
        lane, until_indexed = rng.choice(list(Lane)), rng.random() < 0.5
        while True:
            run = self._run
            if run.intake is not None and run.process.alive:
                asked = run.process.spawn(self._ask(run.intake, batch, lane, until_indexed=until_indexed))
                await asyncio.wait({asked})
                if not asked.cancelled() and asked.result():
                    break
            await asyncio.sleep(rng.uniform(0.05, 0.4))
        world.note(
            "producer",
            "answered",
            [f"{a.event.key.sku} {a.event.facet} v{a.event.version.sequence}" for a in batch if a.event],
        )
        self._unanswered -= 1

    async def _ask(self, intake: ChangeIntake, batch: Sequence[Arrival], lane: Lane, *, until_indexed: bool) -> bool:
        try:
            await intake.take(
                [OutboundChange(arrival.key, arrival.value) for arrival in batch],
                until_indexed=until_indexed,
                lane=lane,
            )
        except FerrofluxError:
            return False
        if until_indexed:
            self._must_be_searchable(batch)
        return True

    def _must_be_searchable(self, batch: Sequence[Arrival]) -> None:
        """What was answered is in both stores; a document is due only of products of which an item event was answered, too."""
        events = [arrival.event for arrival in batch if arrival.event is not None]
        self._told |= {event.key for event in events if event.facet == ITEM_FACET}
        for event in events:
            point, entry = self._disk.vectors.points.get(event.key), self._disk.text.commit.entries.get(event.key)
            applied = (
                point is not None
                and ItemState.from_bytes(point.payload.state).merge(event)[1] is not MergeOutcome.APPLIED
            )
            if not applied or (entry is None and event.key in self._told):
                self._world.violate(f"{event.key} was answered as searchable and is not")

    async def _settled(self) -> bool:
        """Every batch answered, and everything through: a stop in order would be clean now."""
        until = self._world.now + SETTLE_WITHIN_S
        while self._world.now < until:
            await asyncio.sleep(1.0)
            if not self._unanswered and self._run.intake is not None:
                return await self._run.stop()
        return False

    def _differences(self) -> list[str]:
        events = [arrival.event for arrival in self._arrivals if arrival.event is not None]
        points, documents = self._disk.vectors.points, self._disk.text.commit.entries
        wrong = []
        for key in sorted({event.key for event in events}):
            truth, entry = merge_all(event for event in events if event.key == key), documents.get(key)
            wrong += in_store(key, [truth], points.get(key))
            wrong += in_replica("the replica", key, points.get(key), entry.document if entry else None)
        return wrong + replica_apart(self._disk.text, self._run.poison)


def _batches(arrivals: Sequence[Arrival], most: int) -> list[list[Arrival]]:
    return [list(arrivals[start : start + most]) for start in range(0, len(arrivals), most)]
