"""Time, processes and the network between them: where every fault is injected, at every await of every port call.

A request lives in the world, not in the process that sent it: it can take effect after its sender timed out, was
stopped, or died. A process can be stopped (as by SIGSTOP) or killed at any call, before the request or after the answer.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from runtime.retry import BackoffPolicy
from runtime.supervision import Supervisor, Time
from tests.sim.guards import Guards
from tests.sim.model.loop import SimLoop

if TYPE_CHECKING:
    from tests.sim.model.feeds import Feeds
    from tests.sim.model.oddities import Oddities

T = TypeVar("T")

START_S = 1_700_000_000
RESTARTS: Final = BackoffPolicy(base_s=0.05, cap_s=0.4)


class DefectError(Exception):
    """What no port says: a defect of ours, in the middle of a background task."""


class Fault(Enum):
    """What can happen to one request."""

    REQUEST_LOST = "request lost"
    ANSWER_LOST = "answer lost"
    LATE = "given up, then it took effect"
    HALF = "half of it took effect, then an error"
    LIE = "said done and did nothing"
    HALF_LIE = "said done and did half of it"


@dataclass(frozen=True, slots=True)
class Stop:
    """At a process's n-th point of awaiting: stopped for `seconds` (None: killed and started again later)."""

    seconds: float | None


@dataclass(slots=True)
class Weather:
    """How bad the network and the dependencies are; calm after the chaos."""

    fault_rate: float = 0.0
    slow_until: float = 0.0
    mean_s: float = 0.004
    replica_s: float = 0.0
    """How much longer a replica's polls take, on average: one on a slow disk, or far away."""


class Process:
    """One operating-system process: a name, a fate, and the tasks that die with it."""

    def __init__(self, world: "World", name: str, stops: Mapping[int, Stop]) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.points = 0
        self._stops = dict(stops)
        self._thawed_at = 0.0
        # In order of their start: a set's order is that of addresses, and would differ from run to run.
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def supervise(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A background task under production's supervisor: a defect begins it again, and one too many ends the process."""
        self.spawn(self._supervised(name, work) if self.world.guards.restarted else _unseen(work))

    async def _supervised(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        world = self.world
        supervisor = Supervisor(time=Time(world, asyncio.sleep), rng=world.mishaps)
        supervisor.start(name, lambda: self._watched(work), backoff=RESTARTS)
        try:
            await supervisor.failed()
            self.kill()
        finally:
            await supervisor.stop()

    async def _watched(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Only the defects of this simulation may end a task: what its data makes of it is a violation."""
        try:
            await work()
        except DefectError:
            raise
        except Exception as error:
            if self.alive:
                self.world.violate(f"{self.name} ended with {error!r}")
                self.world.errors.append(error)
            raise

    def stumble(self) -> None:
        """A place in a background task where a defect of ours may show.

        Raises:
            DefectError: it did.
        """
        world = self.world
        if self.alive and not world.calm and world.mishaps.random() < world.mishap_rate:
            world.note(self.name, "a background task dies")
            raise DefectError

    def kill(self) -> None:
        """As kill -9: no cleanup of ours counts any more, for every port refuses a dead process."""
        if not self.alive:
            return
        self.alive = False
        self.world.note(self.name, "killed")
        for task in list(self._tasks):
            task.cancel()
        self.world.died(self)

    async def point(self) -> None:
        """Every port call passes here before its request and after its answer."""
        if not self.alive:
            raise asyncio.CancelledError
        self.points += 1
        stop = None if self.world.calm else self._stops.get(self.points)
        if stop is not None:
            if stop.seconds is None:
                self.kill()
                raise asyncio.CancelledError
            self.world.note(self.name, "stopped for", round(stop.seconds, 2))
            self._thawed_at = max(self._thawed_at, self.world.now + stop.seconds)
        while self.world.now < self._thawed_at:  # noqa: ASYNC110 - time passes only by sleeping here
            await asyncio.sleep(self._thawed_at - self.world.now + 1e-6)

    def meet(self, stops: Mapping[int, Stop]) -> None:
        """A further fate, from now on."""
        self._stops |= {self.points + at: stop for at, stop in stops.items()}

    @property
    def busy(self) -> bool:
        """Whether any work of it goes on."""
        return bool(self._tasks)

    def thaw(self) -> None:
        self._thawed_at = min(self._thawed_at, self.world.now)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.pop(task, None)
        if self.alive and not task.cancelled() and task.exception() is not None:
            self.world.violate(f"{self.name} ended with {task.exception()!r}")
            self.world.errors.append(task.exception())


@dataclass(slots=True)
class World:
    """Everything that is shared: the loop, the dice, the weather, the trace, and what went wrong."""

    loop: SimLoop
    rng: random.Random
    guards: Guards
    weather: Weather = field(default_factory=Weather)
    calm: bool = False
    trace: list[tuple[Any, ...]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    errors: list[BaseException | None] = field(default_factory=list)
    on_death: Callable[[Process], None] = lambda process: None
    oddities: "Oddities" = field(kw_only=True)
    feeds: "Feeds" = field(kw_only=True)
    versions: random.Random = field(init=False)
    """Which versions of the replica have a defect: dice of their own, so that they move no other."""
    defects: float = field(init=False)
    apart: dict[str, str] = field(default_factory=dict)
    """What replicas have set apart and committed: the product's key, by the record's place in the log."""

    mishaps: random.Random = field(init=False)
    """When a background task dies, and how long it rests then: dice of their own, too."""
    mishap_rate: float = field(init=False)
    identities: random.Random = field(init=False)
    """What becomes another one under its name: dice of their own, too."""

    def __post_init__(self) -> None:
        self.feeds.begin(self)
        self.mishaps = random.Random(self.rng.getstate()[1][1])
        self.mishap_rate = self.mishaps.choice((0.0, 0.0, 0.02, 0.1))
        self.identities = random.Random(self.rng.getstate()[1][2])
        self.versions = random.Random(self.rng.getstate()[1][0])
        self.defects = self.versions.choice((0.0, 0.0, 0.5, 1.0))

    def poison(self) -> str:
        """The title that the version of a replica that starts now cannot analyse; empty: it can all."""
        return "Bolt 1" if self.versions.random() < self.defects else ""

    @property
    def now(self) -> float:
        return self.loop.now

    def now_us(self) -> int:
        return int((START_S + self.loop.now) * 1e6)

    def monotonic(self) -> float:
        return self.loop.now

    def note(self, *what: Any) -> None:
        self.trace.append((self.loop.now, *what))

    def violate(self, what: str) -> None:
        self.note("VIOLATION", what)
        self.violations.append(what)

    def died(self, process: Process) -> None:
        self.on_death(process)

    def latency(self) -> float:
        slow = 40 if self.now < self.weather.slow_until else 1
        return self.rng.expovariate(1 / (self.weather.mean_s * slow))

    def draw(self, kinds: tuple[Fault, ...]) -> Fault | None:
        if self.calm or self.rng.random() >= self.weather.fault_rate:
            return None
        return self.rng.choice(kinds)

    async def call(
        self,
        process: Process,
        effect: Callable[[Fault | None], T],
        *,
        kinds: tuple[Fault, ...] = (Fault.REQUEST_LOST, Fault.ANSWER_LOST),
        error: type[Exception],
        timeout_s: float = 0.4,
    ) -> T:
        """One request and its answer. `effect` runs once, at once, when the request arrives (if it does).

        Raises:
            error: the request or its answer was lost; the effect may have happened, or may happen yet.
        """
        await process.point()
        fault = self.draw(kinds)
        answer: asyncio.Future[T] = self.loop.create_future()

        def arrive() -> None:
            result = effect(fault)
            if not answer.done():
                answer.set_result(result)

        if fault is not Fault.REQUEST_LOST:
            late = self.rng.uniform(0.5, 4.0) if fault is Fault.LATE else 0.0
            self.loop.call_later(self.latency() + late, arrive)
        if fault in (Fault.REQUEST_LOST, Fault.ANSWER_LOST, Fault.LATE, Fault.HALF):
            self.note(process.name, "fault:", fault.value)
            await asyncio.sleep(timeout_s * self.rng.uniform(0.2, 1.0))
            await process.point()
            raise error
        result = await answer
        await asyncio.sleep(self.latency())
        await process.point()
        return result


async def _unseen(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A task of which nobody hears that it died."""
    with suppress(DefectError):
        await work()
