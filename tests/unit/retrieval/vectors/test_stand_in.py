"""The stand-in server as other tests use it: a process of its own, faults from outside, data that survives."""

import signal
import subprocess
import sys

import pytest

from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.settings import RetrySettings, VectorSettings, VectorStoreKind
from retrieval.vectors.spaces import spaces_of
from schemas.errors import StoreUnavailableError
from tests.contracts.vector_index_suite import REVISION, axis, create, key
from tests.support.data import ROOT
from tests.support.qdrant_grpc import Fault, RemoteFaults

pytestmark = pytest.mark.slow


def _start(directory) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-m", "tests.support.qdrant_grpc", "--dir", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    return process, int(process.stdout.readline().removeprefix("ready "))


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


def _settings(port: int) -> VectorSettings:
    retry = RetrySettings(attempts=2, first_delay_s=0.0)
    return VectorSettings(kind=VectorStoreKind.QDRANT, url="http://127.0.0.1:6333", grpc_port=port, retry=retry)


async def test_the_process_fails_on_demand_and_keeps_its_data(tmp_path):
    process, port = _start(tmp_path)
    try:
        index = await open_vector_index(_settings(port))
        await index.prepare(spaces_of(REVISION))
        assert await index.write([create("a", axis(0))]) == frozenset()
        faults = RemoteFaults(port)
        await faults.inject("Get", Fault.UNAVAILABLE_BEFORE, times=5)
        with pytest.raises(StoreUnavailableError):
            await index.revisions([key("a")])
        await faults.clear()
        assert await index.revisions([key("a")]) == {key("a"): 1}
        await index.close()
    finally:
        _stop(process)

    process, port = _start(tmp_path)
    try:
        index = await open_vector_index(_settings(port))
        await index.prepare(spaces_of(REVISION))
        assert await index.revisions([key("a")]) == {key("a"): 1}
        await index.close()
    finally:
        _stop(process)
