"""The supervisor: what becomes of a task by how it ends, and what readiness and metrics say meanwhile."""

import asyncio
import random
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from runtime.observability.metrics import TaskMetrics
from runtime.retry import BackoffPolicy
from runtime.supervision import Endurance, Supervisor, TaskFailedError
from schemas.errors import ConfigurationError, FatalError, LogUnavailableError
from tests.support.simulated_time import SimulatedTime, settle

AWAY = LogUnavailableError("the broker is away")
DEFECT = ZeroDivisionError("division by zero")
FATAL = ConfigurationError("set the port")
ENDURANCE = Endurance(defects=3, within_s=600.0, well_after_s=60.0, again_after_s=30.0)
BACKOFF = BackoffPolicy(base_s=1.0, cap_s=8.0)


class Scene:
    """A supervisor in simulated time, and a task that follows a script: an exception is raised, None runs for ever."""

    def __init__(self) -> None:
        self.clock = SimulatedTime()
        self.registry = CollectorRegistry()
        self.ended: list[FatalError] = []
        self.supervisor = Supervisor(
            TaskMetrics(self.registry),
            on_failure=self.ended.append,
            endurance=ENDURANCE,
            time=self.clock.time,
            rng=random.Random(1),
        )
        self.began = 0

    def start(self, *script: BaseException | str | None, name: str = "reader", after_s: float = 0.0, **options):
        steps = iter(script)

        async def work() -> None:
            self.began += 1
            step = next(steps, None)
            if after_s and step is not None:
                await self.clock.time.sleep(after_s)
            if step is None:
                await asyncio.Event().wait()
            if isinstance(step, BaseException):
                raise step

        return self.supervisor.start(name, work, **{"backoff": BACKOFF, **options})

    def restarts(self, cause: str, task: str = "reader") -> float:
        labels = {"task": task, "cause": cause}
        return self.registry.get_sample_value("ferroflux_task_restarts_total", labels) or 0.0

    def up(self, task: str = "reader") -> float | None:
        return self.registry.get_sample_value("ferroflux_task_up", {"task": task})


@pytest.fixture
async def scene():
    with capture_logs():
        made = Scene()
        yield made
        await made.supervisor.stop()


@pytest.mark.parametrize(
    ("error", "cause", "told"),
    [
        pytest.param(AWAY, "retryable", "the broker is away", id="retryable"),
        pytest.param(DEFECT, "defect", "ZeroDivisionError", id="defect"),
        pytest.param("returns", "defect", "defect", id="returned"),
        pytest.param(asyncio.CancelledError(), "defect", "defect", id="cancelled from within"),
        pytest.param(ExceptionGroup("both", [DEFECT]), "defect", "ExceptionGroup", id="group"),
    ],
)
async def test_what_can_be_tried_again_is_started_again_and_shown_while_it_rests(scene, error, cause, told):
    scene.start(error)
    await settle()
    assert told in scene.supervisor.waiting["reader"]
    assert scene.up() == 0
    assert scene.restarts(cause) == 1
    await scene.clock.pass_by(4.0)
    assert scene.began == 2
    assert scene.up() == 1
    assert not scene.supervisor.waiting
    assert not scene.ended


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        pytest.param([FATAL], ConfigurationError, id="fatal at once"),
        pytest.param([AWAY, AWAY, FATAL], ConfigurationError, id="fatal after retries"),
        pytest.param([DEFECT] * 3, TaskFailedError, id="one defect too many"),
        pytest.param(["returns"] * 3, TaskFailedError, id="returned too often"),
    ],
)
async def test_what_cannot_is_told_to_the_owner_once_and_stays_in_readiness(scene, script, expected):
    scene.start(*script)
    await scene.clock.pass_by(60.0)
    failure = await asyncio.wait_for(scene.supervisor.failed(), 1)
    assert isinstance(failure, expected)
    assert scene.ended == [failure]
    assert scene.supervisor.waiting == {"reader": str(failure)}
    assert scene.up() == 0
    await scene.clock.pass_by(600.0)
    assert scene.began == len(script)


async def test_retryable_errors_never_end_the_process(scene):
    scene.start(*[AWAY] * 200)
    await scene.clock.pass_by(2_000.0)
    assert scene.began > 200
    assert scene.supervisor.failure is None


async def test_rests_grow_and_begin_anew_after_it_ran_well(scene):
    scene.start(*[AWAY] * 30)
    await scene.clock.pass_by(200.0)
    assert max(scene.clock.rests) > 4.0
    well = Scene()
    well.start(*[AWAY] * 30, after_s=ENDURANCE.well_after_s)
    await well.clock.pass_by(1_000.0)
    rests = [rest for rest in well.clock.rests if rest != ENDURANCE.well_after_s]
    assert len(rests) > 10
    assert max(rests) <= 2.0
    await well.supervisor.stop()


async def test_defects_that_lie_far_apart_do_not_add_up(scene):
    scene.start(*[DEFECT] * 10, after_s=ENDURANCE.within_s / 2 + 1)
    await scene.clock.pass_by(8 * ENDURANCE.within_s)
    assert scene.restarts("defect") == 10
    assert scene.supervisor.failure is None


async def test_a_restarted_task_is_believed_once_it_ran_as_long_as_it_rested(scene):
    scene.start(AWAY)
    await settle()
    rested = scene.clock.rests[0]
    await scene.clock.pass_by(rested)
    assert scene.began == 2
    assert scene.supervisor.waiting
    await scene.clock.pass_by(rested * 1.01)
    assert not scene.supervisor.waiting


async def test_a_task_that_may_rest_only_degrades_but_its_fatal_error_ends_the_process(scene):
    scene.start(AWAY, FATAL, ready_without=True)
    await settle()
    assert scene.supervisor.degraded
    assert not scene.supervisor.waiting
    await scene.clock.pass_by(4.0)
    assert scene.supervisor.waiting == {"reader": str(FATAL)}
    assert scene.ended == [FATAL]


async def test_a_part_that_does_not_decide_rests_long_after_a_fatal_error_and_ends_the_process_once_it_does(scene):
    live = False
    scene.start(FATAL, FATAL, instance="next", decides=lambda: live)
    await settle()
    assert scene.clock.rests == [ENDURANCE.again_after_s]
    assert scene.supervisor.degraded == {"reader next": str(FATAL)}
    assert scene.restarts("fatal") == 1
    live = True
    assert scene.supervisor.waiting == {"reader next": str(FATAL)}
    await scene.clock.pass_by(ENDURANCE.again_after_s)
    assert scene.ended == [FATAL]


async def test_a_task_with_an_end_is_done_when_it_returns(scene):
    task = scene.start("returns", ends=True)
    await asyncio.wait_for(task.ended(), 1)
    assert scene.supervisor._running == {}
    assert scene.up() == 1
    scene.start("returns", ends=True)  # the name is free again


async def test_one_name_runs_once(scene):
    scene.start(None, instance="a")
    scene.start(None, instance="b")
    with pytest.raises(ValueError, match="runs already"):
        scene.start(None, instance="a")


async def test_a_task_is_up_when_all_its_instances_are(scene):
    scene.start(AWAY, instance="a")
    scene.start(None, instance="b")
    await settle()
    assert scene.up() == 0
    await scene.clock.pass_by(4.0)
    assert scene.up() == 1


async def test_a_stop_ends_tasks_in_reverse_order_of_their_start(scene):
    order: list[str] = []

    def recorded(name: str) -> Callable:
        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                order.append(name)

        return work

    for name in ("stores", "reader", "server"):
        scene.supervisor.start(name, recorded(name))
    await settle()
    await scene.supervisor.stop()
    await scene.supervisor.stop()
    assert order == ["server", "reader", "stores"]


async def test_a_task_that_is_to_be_asked_ends_with_what_it_has_in_hand(scene):
    asked, finished = asyncio.Event(), False

    async def work() -> None:
        nonlocal finished
        await asked.wait()
        await asyncio.sleep(0)
        finished = True

    task = scene.supervisor.start("server", work, ask_to_end=asked.set)
    await settle()
    await task.stop()
    assert finished
    assert scene.began == 0
    assert scene.restarts("defect", "server") == 0


async def test_a_stop_cuts_a_rest_short(scene):
    task = scene.start(AWAY, ask_to_end=lambda: pytest.fail("it rests: there is nobody to ask"))
    await settle()
    await asyncio.wait_for(task.stop(), 1)
    assert scene.began == 1


async def test_an_error_during_a_stop_is_no_failure_of_the_process(scene):
    asked = asyncio.Event()

    async def work() -> None:
        await asked.wait()
        raise FATAL

    task = scene.supervisor.start("server", work, ask_to_end=asked.set)
    await settle()
    await task.stop()
    assert scene.supervisor.failure is None


async def test_the_log_has_one_traceback_a_spell_and_none_for_known_errors():
    scene = Scene()
    with capture_logs() as lines:
        scene.start(DEFECT, DEFECT, DEFECT)
        scene.start(AWAY, AWAY, FATAL, name="other")
        await scene.clock.pass_by(60.0)
    tracebacks = [line for line in lines if line.get("exc_info")]
    assert [line["task"] for line in tracebacks] == ["reader"]
    ends = [line for line in lines if line["event"] == "task cannot go on, so the process ends"]
    assert {line["task"]: line["code"] for line in ends} == {"reader": "task_failed", "other": "configuration"}
    await scene.supervisor.stop()
