"""Faults at a process's background tasks: its composition root runs as it is, over supervisors that a test can strike."""

import asyncio
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry

from runtime.supervision import RunningTask, Supervisor, Work
from tests.support.simulated_time import SimulatedTime
from tests.support.waiting import eventually


class Faults:
    """Makes the supervisors of a process (`make` stands for the class), in simulated time, and strikes their tasks."""

    def __init__(self) -> None:
        self.clock = SimulatedTime()
        self.supervisors: list[StruckSupervisor] = []
        self.running: dict[str, tuple[RunningTask, asyncio.Queue[Exception]]] = {}
        self.is_settled: Callable[[], bool] = lambda: True
        """Whether nothing is being opened in a thread, which a strike would leave behind: a work's own failure does not."""

    def make(self, *args: Any, **kwargs: Any) -> Supervisor:
        made = StruckSupervisor(*args, **{"time": self.clock.time, **kwargs})
        made.faults = self
        self.supervisors.append(made)
        return made

    @property
    def names(self) -> set[str]:
        """Every task that was started, whatever the instance."""
        return {task.task.name for task, _ in self.running.values()}

    def task(self, name: str) -> RunningTask:
        """The task of this name; of several instances the first: that of the live generation."""
        return self._of(name)[0]

    def strike(self, name: str, error: Exception) -> None:
        """Let the work of this task end by this error, in the middle of whatever it does."""
        self._of(name)[1].put_nowait(error)

    async def struck(self, name: str, error: Exception) -> RunningTask:
        """Strike, and wait until the supervisor has seen it."""
        await eventually(self.is_settled)
        task = self.task(name)
        before = len(self.clock.rests)
        self.strike(name, error)
        await eventually(lambda: len(self.clock.rests) > before or task.is_done)
        return task

    def restarts(self, name: str, cause: str) -> float:
        labels = {"task": name, "cause": cause}
        return self._registry.get_sample_value("ferroflux_task_restarts_total", labels) or 0.0

    def up(self, name: str) -> float | None:
        return self._registry.get_sample_value("ferroflux_task_up", {"task": name})

    def _of(self, name: str) -> tuple[RunningTask, asyncio.Queue[Exception]]:
        return next(each for each in self.running.values() if each[0].task.name == name)

    @property
    def _registry(self) -> CollectorRegistry:
        metrics = next(made.metrics for made in self.supervisors if made.metrics is not None)
        return metrics.registry


class StruckSupervisor(Supervisor):
    """A supervisor whose tasks end when they are struck."""

    faults: Faults

    def child(self) -> Supervisor:
        made = super().child()
        assert isinstance(made, StruckSupervisor)
        made.faults = self.faults
        self.faults.supervisors.append(made)
        return made

    def start(self, name: str, work: Work, **options: Any) -> RunningTask:
        errors: asyncio.Queue[Exception] = asyncio.Queue()

        async def until_struck() -> None:
            working, struck = asyncio.ensure_future(work()), asyncio.ensure_future(errors.get())
            try:
                await asyncio.wait({working, struck}, return_when=asyncio.FIRST_COMPLETED)
                if struck.done():
                    working.cancel()
                    await asyncio.wait({working})
                    raise struck.result()
                working.result()
            finally:
                working.cancel()
                struck.cancel()
                await asyncio.wait({working, struck})

        task = super().start(name, until_struck, **options)
        self.faults.running[task.task.title] = task, errors
        return task
