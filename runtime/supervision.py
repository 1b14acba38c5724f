"""The supervisor: no background task of a process dies unseen.

    start(name, work) ──▶ work() ──┬─ RetryableError ──▶ rest (backoff, shown in readiness) ──▶ work() again
                                   ├─ any other exception, or a return: a defect ──▶ the same, but only so often
                                   ├─ FatalError, or one defect too many ──▶ `failed()`: the process ends with it
                                   └─ cancelled by `stop` ──▶ the end, in order

A supervisor belongs to one event loop and to whatever owns the tasks: a process, or a part of it that may end by itself (a
generation's indexer). The owner awaits `failed` or gives `on_failure`; readiness reads `waiting` and `degraded`.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypedDict, Unpack

import structlog

from runtime.clock import SYSTEM_CLOCK, Clock, Sleep
from runtime.observability.metrics import TaskMetrics
from runtime.retry import Backoff, BackoffPolicy
from schemas.errors import FatalError, FerrofluxError, RetryableError

log = structlog.get_logger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]
"""Makes the coroutine that is the task's life; called again for each restart."""

_BACKOFF: Final = BackoffPolicy()
_TOLD_EVERY_S: Final = 60.0
"""A dependency that stays away is told in the log once this often, not with each try."""
_BELIEVED_AFTER_S: Final = 5.0
"""A restarted task counts as waiting until it has run for as long as it rested, this at most: readiness must not flap."""


class TaskFailedError(FatalError):
    """A background task keeps failing by a defect of ours, and the process does not do its work without it. The log has the traceback: install a version with the fix and start again, or roll back the last change of version or settings."""

    code = "task_failed"


class _EndedError(Exception):
    """A task returned, or was cancelled by nobody who may, although it should run for ever."""


@dataclass(frozen=True, slots=True)
class Endurance:
    """What a supervisor takes: `defects` within `within_s` seconds end the process; `well_after_s` of work forgive what was before.

    `again_after_s` is the rest after a fatal error of a task that does not decide the process's fate.
    """

    defects: int = 5
    within_s: float = 600.0
    well_after_s: float = 60.0
    again_after_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Time:
    """Where a supervisor takes its time from; a test gives its own."""

    clock: Clock = SYSTEM_CLOCK
    sleep: Sleep = asyncio.sleep


class Options(TypedDict, total=False):
    """The fields of `Task` beside its name and its work, as `Supervisor.start` takes them."""

    instance: str
    backoff: BackoffPolicy
    ends: bool
    ready_without: bool
    decides: Callable[[], bool]
    ask_to_end: Callable[[], None] | None


def _always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Task:
    """What a task is. `name` is its label in metrics, `instance` tells several of one name apart."""

    name: str
    work: Work
    instance: str = ""
    backoff: BackoffPolicy = _BACKOFF
    ends: bool = False
    """It may return, and is done then; else a return is a defect."""
    ready_without: bool = False
    """Readiness is only degraded while it rests."""
    decides: Callable[[], bool] = _always
    """Whether, at this moment, its fatal error is the process's. Where it is not, the task rests long and is tried again, and
    readiness is only degraded."""
    ask_to_end: Callable[[], None] | None = None
    """How a stop asks the work to return after what it has in hand; None: it is cancelled."""

    @property
    def title(self) -> str:
        """For the log and for readiness."""
        return f"{self.name} {self.instance}".rstrip()


class Supervisor:
    """Starts, restarts and stops the long-lived tasks of one owner, on the event loop where `start` is called."""

    def __init__(
        self,
        metrics: TaskMetrics | None = None,
        *,
        on_failure: Callable[[FatalError], None] | None = None,
        tells: bool = True,
        endurance: Endurance | None = None,
        time: Time | None = None,
        rng: random.Random | None = None,
        parent: Supervisor | None = None,
    ) -> None:
        self.metrics = metrics
        self.tells = tells
        """Whether it logs what ends a task for good; not where its owner raises that under a supervisor of its own."""
        self.endurance = endurance or Endurance()
        self.time = time or Time()
        self.rng = rng or random.Random()  # noqa: S311 - jitter, no secret
        self.failure: FatalError | None = None
        """What ended a task for good; None while all is well."""
        self._on_failure = on_failure
        self._parent = parent
        self._running: dict[tuple[str, str], RunningTask] = {}
        self._failed = asyncio.Event()

    def child(self) -> Supervisor:
        """A supervisor of one part on the same loop, which may stop by itself: its failure is ours, our troubles are its own."""
        return type(self)(
            self.metrics,
            on_failure=self.fail,
            tells=self.tells,
            endurance=self.endurance,
            time=self.time,
            rng=self.rng,
            parent=self,
        )

    def start(self, name: str, work: Work, **options: Unpack[Options]) -> RunningTask:
        """Begin a task (`Task` says what the options are); returns at once. It is the caller's to stop, or `stop`'s."""
        task = Task(name, work, **options)
        if (name, task.instance) in self._running:
            raise ValueError(f"task {task.title} runs already")
        running = self._running[name, task.instance] = RunningTask(self, task)
        return running

    @property
    def waiting(self) -> dict[str, str]:
        """What keeps the owner from being ready: the reason of each task that rests or has failed, by name."""
        above = {} if self._parent is None else self._parent.waiting
        return above | {each.task.title: each.reason for each in self._in_trouble() if each.keeps_from_ready}

    @property
    def degraded(self) -> dict[str, str]:
        """What rests and does not keep the owner from being ready, by name."""
        above = {} if self._parent is None else self._parent.degraded
        return above | {each.task.title: each.reason for each in self._in_trouble() if not each.keeps_from_ready}

    async def failed(self) -> FatalError:
        """Wait for an error that ends the process; never returns while all is well."""
        await self._failed.wait()
        assert self.failure is not None
        return self.failure

    async def run_until(self, stopping: asyncio.Event) -> None:
        """Wait until a stop is asked for.

        Raises:
            FatalError: a task ended for good before that.
        """
        asked, failed = asyncio.create_task(stopping.wait()), asyncio.create_task(self._failed.wait())
        try:
            await asyncio.wait({asked, failed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            failed.cancel()
        if self.failure is not None:
            raise self.failure

    async def stop(self) -> None:
        """End every task, the newest first, and wait for each; a second call does nothing."""
        while self._running:
            await next(reversed(self._running.values())).stop()

    def fail(self, error: FatalError) -> None:
        """Take an error for the process's end; only the first counts."""
        if self.failure is not None:
            return
        self.failure = error
        self._failed.set()
        if self._on_failure is not None:
            self._on_failure(error)

    def forget(self, task: Task) -> None:
        """Let go of a task that has ended in order."""
        self._running.pop((task.name, task.instance), None)

    def _in_trouble(self) -> list[RunningTask]:
        return [running for running in list(self._running.values()) if running.reason]


class RunningTask:
    """One task under a supervisor, from its start on; `stop` ends it in order. Made by `Supervisor.start`."""

    def __init__(self, supervisor: Supervisor, task: Task) -> None:
        self.task = task
        self._supervisor = supervisor
        self._now = supervisor.time.clock.monotonic
        self._backoff = Backoff(task.backoff, supervisor.rng)
        self._defects: deque[float] = deque()
        self._told: type[BaseException] | None = None
        """The class of the defect whose traceback the log has in this spell."""
        self._told_at: dict[str, float] = {}
        self._reason = ""
        self._rested_s = 0.0
        self._began: float | None = None
        """Since when the work runs; None while it rests or has ended."""
        self.is_given_up = False
        """Whether its last error was a fatal one: it has ended by it, or rests long before it is tried again."""
        self._dead = False
        self._stopping = False
        self._life = asyncio.create_task(self._live(), name=task.title)

    @property
    def reason(self) -> str:
        """Why it does not work, as a sentence; empty where it does."""
        began = self._began
        if began is not None and self._now() - began >= min(self._rested_s, _BELIEVED_AFTER_S):
            return ""
        return self._reason

    @property
    def keeps_from_ready(self) -> bool:
        """Whether the owner is not ready while this one does not work."""
        return self._dead or (not self.task.ready_without and self.task.decides())

    @property
    def is_done(self) -> bool:
        """Whether it has ended, in order or for good."""
        return self._life.done()

    async def ended(self) -> None:
        """Wait until it has ended, in order or for good; the wait may be cancelled, the task goes on."""
        await asyncio.wait({self._life})

    async def stop(self) -> None:
        """End it: as it wants to be asked where its work runs, else by cancelling it; returns when it has ended."""
        self._stopping = True
        if self.task.ask_to_end is not None and self._began is not None:
            self.task.ask_to_end()
        else:
            self._life.cancel()
        await self.ended()
        self._supervisor.forget(self.task)

    async def _live(self) -> None:
        while True:
            began = self._began = self._now()
            self._mark(up=True)
            try:
                error = await self._attempt()
            finally:
                self._began = None
            if error is None:
                self._supervisor.forget(self.task)
                return
            if self._stopping:
                log.warning("task ended by an error while it was stopped", task=self.task.title, error=repr(error))
                return
            if self._now() - began >= self._supervisor.endurance.well_after_s:
                self._backoff.reset()
                self._told = None
            self._mark(up=False)
            self._rested_s = self._judge(error)
            if self._dead:
                return
            await self._supervisor.time.sleep(self._rested_s)

    async def _attempt(self) -> Exception | None:
        """Run the work once: None where it ended in order, else what ended it."""
        try:
            await self.task.work()
        except asyncio.CancelledError:
            if self._life.cancelling():
                raise
            # Nobody cancelled us: the work awaited something that somebody else cancelled, which would end it unseen.
            return _EndedError("it was cancelled from within")
        except Exception as error:  # noqa: BLE001 - judged by its class, told and counted
            return error
        if self.task.ends or self._stopping:
            return None
        return _EndedError("it returned, and should run for ever")

    def _judge(self, error: Exception) -> float:
        """Decide what becomes of the task; seconds to rest before it is begun again."""
        if isinstance(error, RetryableError):
            return self._rest("retryable", error)
        fatal = error if isinstance(error, FatalError) else self._one_too_many(error)
        if fatal is None:
            return self._rest("defect", error)
        if not self.task.decides():
            return self._rest("fatal", fatal)
        self._dead = self.is_given_up = True
        self._reason = str(fatal)
        if self._supervisor.tells:
            log.error("task cannot go on, so the process ends", task=self.task.title, code=fatal.code, error=str(fatal))
        self._supervisor.fail(fatal)
        return 0.0

    def _one_too_many(self, error: Exception) -> FatalError | None:
        """Count a defect; the fatal error that it makes where it is one too many."""
        now, bound = self._now(), self._supervisor.endurance
        self._defects.append(now)
        while self._defects[0] < now - bound.within_s:
            self._defects.popleft()
        if type(error) is not self._told:
            self._told = type(error)
            log.error("task failed by a defect", task=self.task.title, exc_info=error)
        if len(self._defects) < bound.defects:
            return None
        how_often = f"{len(self._defects)} times within {bound.within_s / 60:.0f} minutes"
        return TaskFailedError(
            f"task {self.task.title} failed {how_often}, the last with {error!r}. {TaskFailedError()}"
        )

    def _rest(self, cause: str, error: Exception) -> float:
        self.is_given_up = cause == "fatal"
        seconds = self._supervisor.endurance.again_after_s if self.is_given_up else self._backoff.next()
        defect = f"it failed by a defect of ours ({type(error).__name__}) and is started again; the log has the details"
        self._reason = defect if cause == "defect" else str(error)
        if self._supervisor.metrics is not None:
            self._supervisor.metrics.restarted(self.task.name, cause)
        self._tell(cause, error, seconds)
        return seconds

    def _tell(self, cause: str, error: Exception, seconds: float) -> None:
        code = error.code if isinstance(error, FerrofluxError) else "unexpected"
        told_at = self._told_at.get(code)
        if cause == "retryable" and told_at is not None and self._now() - told_at < _TOLD_EVERY_S:
            return
        self._told_at[code] = self._now()
        log.warning(
            "task failed and is started again",
            task=self.task.title,
            cause=cause,
            code=code,
            error=str(error),
            again_in_s=round(seconds, 2),
        )

    def _mark(self, *, up: bool) -> None:
        metrics = self._supervisor.metrics
        if metrics is not None:
            (metrics.up if up else metrics.down)(self.task.name, self)
