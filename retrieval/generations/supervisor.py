"""The work on generations in one process: a supervised task for each that is wanted, started and ended as they come and go.

The live generation decides the process's fate; another that cannot be worked on is told by `trouble`, and is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any

import structlog

from retrieval.generations.view import GenerationView
from runtime.retry import BackoffPolicy
from runtime.supervision import RunningTask, Supervisor
from schemas.records.generations import Generation

log = structlog.get_logger(__name__)

Hold = Callable[[Generation], Coroutine[Any, Any, None]]
"""Works on a generation until it is asked to end or cancelled."""


class GenerationSupervisor:
    """Starts `hold` as a task of that name for every generation that `wanted` names; `ask_to_end` asks one to return."""

    def __init__(
        self,
        supervisor: Supervisor,
        task: str,
        hold: Hold,
        *,
        wanted: Callable[[GenerationView], Iterable[str]],
        ask_to_end: Callable[[str], None] | None = None,
        backoff: BackoffPolicy | None = None,
    ) -> None:
        self.view: GenerationView | None = None
        """The generations as last heard of; None before."""
        self._supervisor = supervisor
        self._task = task
        self._hold = hold
        self._wanted = wanted
        self._ask_to_end = ask_to_end
        self._backoff = backoff or BackoffPolicy()
        self._tasks: dict[str, RunningTask] = {}

    async def follow(self, view: GenerationView) -> None:
        """End the work on what is not wanted any more, and begin it on what is."""
        self.view = view
        wanted = list(self._wanted(view))
        await self._end([name for name in self._tasks if name not in wanted])
        for name in wanted:
            if name not in self._tasks:
                log.info("generation is taken on", task=self._task, generation=name, live=view.live)
                self._tasks[name] = self._supervisor.start(
                    self._task,
                    partial(self._hold, view.manifest(name)),
                    instance=name,
                    backoff=self._backoff,
                    decides=partial(self.is_live, name),
                    ask_to_end=None if self._ask_to_end is None else partial(self._ask_to_end, name),
                )

    async def stop(self) -> None:
        """End the work on every generation, each in order."""
        await self._end(list(self._tasks))

    def is_live(self, name: str) -> bool:
        """Whether it answers queries, as far as is known here."""
        return self.view is not None and self.view.live == name

    def trouble(self, name: str) -> str:
        """Why a generation is not worked on, though it should be; empty where it is."""
        task = self._tasks.get(name)
        return "" if task is None else task.reason

    async def _end(self, names: list[str]) -> None:
        await asyncio.gather(*(self._tasks.pop(name).stop() for name in names))
