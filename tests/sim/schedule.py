"""One schedule: a seed decides which installation it is, its history, the faults and every latency."""

import random
from collections.abc import Callable
from typing import Protocol

from tests.sim.cluster.schedule import ClusterSchedule
from tests.sim.embedded.schedule import EmbeddedSchedule
from tests.sim.guards import Guards
from tests.sim.model.feeds import Feeds
from tests.sim.model.loop import SimLoop
from tests.sim.model.oddities import Oddities
from tests.sim.model.world import World
from tests.sim.outcome import Outcome


class Schedule(Protocol):
    """An installation, its chaos and its oracle."""

    async def run(self) -> list[str]:
        """Run to the end; what is not as it must be."""
        ...


def of_embedded(seed: int) -> bool:
    """Whether a seed's schedule is of the embedded system: every fourth is."""
    return seed % 4 == 3


def run_schedule(seed: int, guards: Guards | None = None) -> Outcome:
    """Run one schedule to its end on a loop of its own."""
    rng = random.Random(seed)
    loop = SimLoop(rng)
    world = World(loop, rng, guards or Guards(), oddities=Oddities.of(seed), feeds=Feeds.of(seed))
    kind: Callable[[World], Schedule] = EmbeddedSchedule if of_embedded(seed) else ClusterSchedule
    try:
        failures = loop.run_until_complete(kind(world).run())
    finally:
        loop.close()
    return Outcome(seed, tuple(failures), world.trace, loop.now)
