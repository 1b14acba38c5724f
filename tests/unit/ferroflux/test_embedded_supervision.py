"""`ferroflux up` with its real parts: each background task is struck while it serves, and the page never goes on as though all were well."""

import asyncio
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

import ferroflux.embedded.system
from ferroflux.data_directory import DataDirectory
from ferroflux.embedded.loop_thread import LoopThread, LoopThreadEndedError
from ferroflux.embedded.progress_reporter import LoggingProgressReporter
from ferroflux.embedded.settings import EmbeddedOptions
from ferroflux.embedded.system import EmbeddedSystem
from retrieval.testing import HashingEncoder
from schemas.errors import ConfigurationError, LogUnavailableError
from tests.support.faults import Faults
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

TASKS = {
    "replica", "alias-tailer", "indexer-thread", "indexer", "http",
    "watch-files", "open-generation", "refresh-replica", "open-agent", "order-relay", "thread-pruner",
    "fill-contents",
}  # fmt: skip
ENDED = {"open-generation", "open-agent", "fill-contents"}
"""Done once the system is ready, or soon after."""
UNREADY = {"replica", "indexer-thread", "indexer", "http"}
"""Without these, the page must not be served as though all were well."""


@pytest.fixture
async def up(tmp_path: Path, monkeypatch):
    faults = Faults()
    monkeypatch.setattr(ferroflux.embedded.system, "Supervisor", faults.make)
    monkeypatch.setattr(ferroflux.embedded.system, "load_encoder", lambda _: HashingEncoder(16))
    options = EmbeddedOptions(DataDirectory(tmp_path), "127.0.0.1", 0, sample=False)
    with capture_logs():
        system = EmbeddedSystem(options, LoggingProgressReporter())
        await system.start()
        await eventually(lambda: "order-relay" in faults.names, timeout=30)
        yield system, faults
        await system.stop()


async def test_each_task_is_started_again_and_told_and_a_fatal_error_ends_the_system(up) -> None:
    system, faults = up
    assert faults.names == TASKS
    async with httpx.AsyncClient(base_url=system.url) as client:
        for name in sorted(TASKS - ENDED - {"http"}):
            await faults.struck(name, LogUnavailableError("the broker is away"))
            ready = await client.get("/readyz")
            if name in UNREADY:
                assert (ready.status_code, name in ready.text) == (503, True)
            elif name not in {"order-relay", "thread-pruner"}:  # these are the chat's: they are in its metric
                assert (ready.status_code, name in ready.text) == (200, True)
            assert f'ferroflux_task_up{{task="{name}"}} 0.0' in (await client.get("/metrics")).text
            await faults.clock.pass_by(30)
            await eventually(lambda name=name: faults.up(name) == 1)
            await faults.clock.pass_by(30)
        await eventually(lambda: not system.replica.not_ready)
        fatal = ConfigurationError("set the port")
        await faults.struck("alias-tailer", fatal)
        assert await asyncio.wait_for(system.supervisor.failed(), 5) is fatal
        assert (await client.get("/readyz")).status_code == 503


async def test_a_thread_that_ends_is_told_to_its_watcher_and_can_be_stopped_all_the_same() -> None:
    thread = LoopThread("short-lived")
    thread._loop.call_soon_threadsafe(thread._loop.stop)
    with pytest.raises(LoopThreadEndedError, match="in the journal"):
        await asyncio.wait_for(thread.watch(), 5)
    await thread.stop()
