"""Every process as its composition root puts it together: each of its background tasks is struck, and none dies unseen."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

import agent.bootstrap
import indexer.process.app
import indexer.process.bootstrap
import indexer.process.supervisor
import query_api.replica.bootstrap
import retrieval.serving.parts
from agent.bootstrap import build_agent_app
from agent.settings import AgentSettings
from indexer.consuming.runner import Observers
from indexer.metrics import IndexerMetrics
from indexer.process.app import IndexerApp, KafkaEnds, OpenedStore, Workers
from indexer.process.supervisor import Member
from indexer.readiness import ConsumerHealth, Readiness
from indexer.settings import IndexerSettings
from query_api.replica.settings import ReplicaSettings
from query_api.worker import Worker
from retrieval.serving.searchers import Searchers
from retrieval.testing import HashingEncoder
from retrieval.vectors.memory import MemoryIndex
from runtime.observability.metrics import TaskMetrics
from runtime.supervision import TaskFailedError
from schemas.errors import ConfigurationError, FatalError, LogUnavailableError
from tests.support.faults import Faults
from tests.support.waiting import eventually
from tests.unit.query_api.app_under_test import Stores
from tests.unit.query_api.replica.fakes import FakeBroker
from tests.unit.query_api.test_generations import Two, status_file

pytestmark = pytest.mark.slow

AWAY = LogUnavailableError("the broker is away")
FATAL = ConfigurationError("set the port")
Process = Callable[[Faults, Path, pytest.MonkeyPatch], AbstractAsyncContextManager[asyncio.Future[FatalError]]]
"""Runs a process; the future has what ended it."""


@asynccontextmanager
async def search_worker(faults: Faults, folder: Path, _patch) -> AsyncIterator[asyncio.Future[FatalError]]:
    two, ended = Two(folder), asyncio.get_running_loop().create_future()
    status_file(folder)
    await two.prepare()
    supervisor = faults.make(TaskMetrics(CollectorRegistry()), on_failure=ended.set_result)
    searchers = Searchers(two.worker.settings, supervisor, held_of=two.held_of)
    worker = Worker(searchers, supervisor, reports=folder / "workers")
    await worker.start()
    await eventually(lambda: len(searchers.generations) == 2)
    yield ended
    await worker.stop()


class NoStore:
    """The records of the generations of a system that has none."""

    async def follow(self, on_records) -> None:
        await on_records({})
        await asyncio.Event().wait()

    async def commit(self, _transition) -> None:
        return

    async def close(self) -> None:
        return


class NoSources:
    """The history of sources of a system in which nobody ever declared any."""

    async def follow(self, live) -> None:
        live.hear(())
        await asyncio.Event().wait()


@asynccontextmanager
async def replica(faults: Faults, folder: Path, patch) -> AsyncIterator[asyncio.Future[FatalError]]:
    module, broker = query_api.replica.bootstrap, FakeBroker()
    patch.setattr(module, "Supervisor", faults.make)
    patch.setattr(module, "KafkaGenerationStore", lambda _: NoStore())
    patch.setattr(module, "KafkaDocumentLog", lambda *_, **__: broker.connect())
    patch.setattr("query_api.replica.generation.KafkaDocumentLog", lambda *_, **__: broker.connect())
    settings = ReplicaSettings(
        text={"directory": folder / "text"},
        http={"host": "127.0.0.1", "port": 0},
        snapshots={"url": f"file://{folder}/snapshots", "restore": False},
    )
    async with _running(module._serve(settings), faults, "snapshots") as ended:
        # They are taken while the replica is open.
        faults.is_settled = lambda: not faults.task("snapshots").is_done
        yield ended


class StillConsumer:
    """A consumer of a group that never gets a batch."""

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        return

    async def watch(self) -> None:
        await asyncio.Event().wait()

    async def lag(self) -> dict:
        return {}

    def seconds_since_fetch(self, _now_us: int) -> None:
        return None


class StillPart(StillConsumer):
    """The runner, the writer, the verifier, the executor, the probe: whatever is asked of them, nothing happens."""

    def stop(self):
        class Done:
            def __await__(self):
                return iter(())

        return Done()

    async def failed(self) -> None:
        await asyncio.Event().wait()

    async def run(self) -> None:
        await asyncio.Event().wait()

    def shutdown(self, **_) -> None:
        return

    def carries(self, _limits) -> None:
        return

    async def check(self, _lag, **_) -> Readiness:
        return Readiness(())


class Admin:
    def __init__(self, _settings) -> None:
        pass

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_) -> None:
        return

    async def ensure(self) -> None:
        return

    async def limits(self) -> dict[str, int]:
        return {}


@asynccontextmanager
async def indexing(faults: Faults, _folder: Path, patch) -> AsyncIterator[asyncio.Future[FatalError]]:
    part = StillPart()

    class Factory:
        def __init__(self, _settings, tasks: TaskMetrics, _sources, _contents) -> None:
            self._tasks = tasks

        async def __call__(self, manifest, _leadership) -> Member:
            app = IndexerApp(
                Workers(part, part, part, part), KafkaEnds(StillConsumer(), part),
                OpenedStore(MemoryIndex(), HashingEncoder(8), part, self_check=False),
                Observers(ConsumerHealth(), IndexerMetrics(CollectorRegistry())),
                clock=indexer.process.bootstrap.SystemClock(), tasks=self._tasks,
            )  # fmt: skip
            return Member(manifest, app, MemoryIndex(), IndexerSettings().kafka)

    patch.setattr(indexer.process.bootstrap, "Supervisor", faults.make)
    patch.setattr(indexer.process.app, "Supervisor", faults.make)
    patch.setattr(indexer.process.bootstrap, "REGISTRY", CollectorRegistry())
    patch.setattr(indexer.process.bootstrap, "KafkaGenerationStore", lambda _: NoStore())
    patch.setattr(indexer.process.bootstrap, "KafkaSourceStore", lambda _: NoSources())
    patch.setattr(indexer.process.bootstrap, "MemberFactory", Factory)
    patch.setattr(indexer.process.supervisor, "TopicAdmin", Admin)
    settings = IndexerSettings(http={"host": "127.0.0.1", "port": _free_port()}, vectors={"kind": "qdrant"})
    async with _running(indexer.process.bootstrap.run_indexer(settings), faults, "document-verifier") as ended:
        yield ended


@asynccontextmanager
async def ordering(faults: Faults, folder: Path, patch) -> AsyncIterator[asyncio.Future[FatalError]]:
    stores, ended = Stores(), asyncio.get_running_loop().create_future()
    await stores.embed()

    async def vectors(_settings) -> MemoryIndex:
        return stores.vectors

    status_file(folder)

    async def no_broker(_publisher) -> None:
        return

    patch.setattr(agent.bootstrap, "_check_topic", no_broker)
    parts = retrieval.serving.parts
    patch.setattr(parts, "load_encoder", lambda _: stores.encoder)
    patch.setattr(parts, "open_vector_index", vectors)
    patch.setattr(parts, "open_reader", lambda _: stores.reader)
    settings = AgentSettings(
        agent={"catalogue": {"kind": "local"}, "database": {"directory": folder}},
        vectors={"kind": "qdrant"},
        text={"directory": folder},
    )
    supervisor = faults.make(TaskMetrics(CollectorRegistry()), on_failure=ended.set_result)
    app = build_agent_app(settings, supervisor=supervisor)
    async with app.router.lifespan_context(app):
        await eventually(lambda: "order-relay" in faults.names, timeout=30)
        yield ended


@asynccontextmanager
async def _running(process, faults: Faults, last: str) -> AsyncIterator[asyncio.Future[FatalError]]:
    """A process that ends by a signal, or by raising what ended it; it is up when its `last` task was started."""
    running, ended = asyncio.create_task(process), asyncio.get_running_loop().create_future()

    def tell(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and isinstance(task.exception(), FatalError):
            ended.set_result(task.exception())

    running.add_done_callback(tell)
    try:
        await eventually(lambda: last in faults.names or running.done(), timeout=15)
        yield ended
        await eventually(lambda: running.done() or faults.is_settled())
        if not running.done():
            os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait({running}, timeout=10)
        assert running.done()
    finally:
        running.cancel()
        await asyncio.wait({running}, timeout=5)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
    if not ended.done():
        running.result()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


TASKS: Final[dict[Process, set[str]]] = {
    search_worker: {"watch-files", "report-worker", "open-generation", "refresh-replica"},
    replica: {"http", "alias-tailer", "follow-generations", "report-replica", "replica", "snapshots"},
    indexing: {
        "http", "follow-generations", "follow-sources", "index-generation", "change-consumer", "batch-runner", "document-verifier",
    },
    ordering: {
        "open-agent", "open-catalogue", "thread-pruner", "order-relay", "watch-files", "open-generation", "refresh-replica",
    },
}  # fmt: skip
"""Every background task of a process."""

ENDED: Final = {"open-generation", "open-agent", "open-catalogue"}
"""Tasks that are done once the process is ready."""

ONLY_DEGRADED: Final = {"watch-files", "snapshots", "thread-pruner"}
"""Tasks without which the process goes on, even where they fail for good."""

EACH: Final = [
    pytest.param(process, name, id=f"{process.__name__}: {name}")
    for process, names in TASKS.items()
    for name in sorted(names - ENDED)
]


@pytest.mark.parametrize("process", TASKS, ids=lambda process: process.__name__)
async def test_every_task_of_a_process_runs_under_its_supervisor(process, tmp_path, monkeypatch):
    faults = Faults()
    with capture_logs():
        async with process(faults, tmp_path, monkeypatch):
            assert faults.names == TASKS[process]
            await eventually(lambda: all(faults.up(name) == 1 for name in faults.names))


@pytest.mark.parametrize(("process", "name"), EACH)
async def test_a_task_that_fails_is_started_again_and_told(process, name, tmp_path, monkeypatch):
    faults = Faults()
    with capture_logs():
        async with process(faults, tmp_path, monkeypatch) as ended:
            for cause, error in (("retryable", AWAY), ("defect", ZeroDivisionError("division by zero"))):
                await faults.struck(name, error)
                title = faults.task(name).task.title
                told = [dict(made.waiting) | dict(made.degraded) for made in faults.supervisors]
                assert any(title in reasons for reasons in told)
                assert faults.up(name) == 0
                assert faults.restarts(name, cause) == 1
                await faults.clock.pass_by(30)
                await eventually(lambda: faults.up(name) == 1)
                await faults.clock.pass_by(30)
                assert not any(made.waiting for made in faults.supervisors)
            assert not ended.done()


@pytest.mark.parametrize(("process", "name"), EACH)
@pytest.mark.parametrize("error", [FATAL, ZeroDivisionError("again and again")], ids=["fatal", "defect"])
async def test_a_task_that_fails_for_good_ends_the_process_or_is_told_for_as_long(
    process, name, error, tmp_path, monkeypatch
):
    faults = Faults()
    with capture_logs():
        async with process(faults, tmp_path, monkeypatch) as ended:
            strikes = 1 if error is FATAL else 5
            for strike in range(strikes):
                task = await faults.struck(name, error)
                if strike + 1 < strikes:
                    await faults.clock.pass_by(30)
                    await eventually(lambda: faults.up(name) == 1)
            if name in ONLY_DEGRADED:
                assert task.is_given_up
                assert any(task.task.title in made.degraded for made in faults.supervisors)
                assert not ended.done()
            else:
                failure = await asyncio.wait_for(ended, 10)
                assert failure is error if error is FATAL else isinstance(failure, TaskFailedError)
            assert faults.up(name) == 0
