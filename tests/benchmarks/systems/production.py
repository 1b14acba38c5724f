"""The production topology on this machine: Apache Kafka, a vector store by gRPC, indexer, replica and API, each a process.

The stores start from the prepared catalogue, the log starts empty: a replica that meets a new log keeps what it has and
reads the new one from its start. The vector store is the tests' gRPC stand-in (Qdrant's engine behind one Python event
loop), or the server that FERROFLUX_TEST_QDRANT_URL names.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from retrieval.serving.replica_status import STATUS_FILE
from retrieval.text.storage import MEMORY_BACKED, file_system_of
from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.settings import VectorSettings, VectorStoreKind
from retrieval.vectors.spaces import spaces_of
from tests.benchmarks.systems.prepared import Prepared, encoder
from tests.support.data import ROOT
from tests.support.kafka.server import KafkaServer
from tests.support.processes import ManagedProcess, free_port, wait_until

TOPIC = "warehouse.changes"
DOCUMENTS = "catalog.documents"
GROUP = "ferroflux-indexer"
_SERVER_VARIABLE = "FERROFLUX_TEST_QDRANT_URL"
_TEXT_VARIABLE = "FERROFLUX_BENCH_TEXT"
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 512 * 1024 * 1024


def _memory_folder() -> Path | None:
    """Where the text index lies as compose.yaml has it, in memory; None where there is none or FERROFLUX_BENCH_TEXT is `disk`."""
    if os.environ.get(_TEXT_VARIABLE) == "disk" or file_system_of(_MEMORY) not in MEMORY_BACKED:
        return None
    status = os.statvfs(_MEMORY)
    return _MEMORY if status.f_bavail * status.f_frsize > _MEMORY_BYTES else None


class Production:
    """All processes of one installation. A context manager: Kafka and vector store run inside, the rest is started by name."""

    def __init__(self, prepared: Prepared, folder: Path, *, catalogue_loaded: bool = True) -> None:
        self._prepared = prepared
        self._folder = folder
        self._loaded = catalogue_loaded
        self._server = os.environ.get(_SERVER_VARIABLE, "")
        self.kafka = KafkaServer(folder / "kafka")
        memory = _memory_folder()
        self._text_in_memory = None if memory is None else tempfile.TemporaryDirectory(prefix="bench-", dir=memory)
        self.text = Path(self._text_in_memory.name if self._text_in_memory else folder) / "text"
        self.ports: dict[str, int] = {}
        self.processes: dict[str, ManagedProcess] = {}
        address = urlsplit(self._server or f"http://127.0.0.1:{free_port()}")
        self._vectors = VectorSettings(
            kind=VectorStoreKind.QDRANT,
            url=f"http://{address.hostname}:6333",
            grpc_port=6334 if self._server else address.port,
            collection=f"bench-{uuid.uuid4().hex[:8]}" if self._server else "catalogue",
        )
        self._environment = {
            "PYTHONPATH": str(ROOT),
            "FERROFLUX_KAFKA__BOOTSTRAP": self.kafka.bootstrap,
            "FERROFLUX_VECTORS__KIND": "qdrant",
            "FERROFLUX_VECTORS__URL": self._vectors.url,
            "FERROFLUX_VECTORS__GRPC_PORT": str(self._vectors.grpc_port),
            "FERROFLUX_VECTORS__COLLECTION": self._vectors.collection,
            "FERROFLUX_TEXT__DIRECTORY": str(self.text),
            "FERROFLUX_HTTP__HOST": "127.0.0.1",
        }

    @property
    def vector_store(self) -> str:
        """What holds the vectors, for the report."""
        return "a Qdrant server" if self._server else "the gRPC stand-in (Qdrant Edge behind one Python event loop)"

    @property
    def text_store(self) -> str:
        """What the text index lies on, for the report."""
        return "memory (tmpfs), as in compose.yaml" if self._text_in_memory else "disk"

    def __enter__(self) -> Self:
        self.kafka.start()
        if not self._server:
            self._start_stand_in()
        if self._loaded:
            shutil.copytree(self._prepared.data.text, self.text)
            (self.text / STATUS_FILE).unlink()
        asyncio.run(self._open_collection())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(self.processes):
            self.processes[name].stop(timeout=15)
        self.kafka.stop()
        if self._text_in_memory:
            self._text_in_memory.cleanup()

    def start(self, name: str, *command: str, environment: Mapping[str, str] | None = None) -> ManagedProcess:
        """Start `ferroflux <name>` (or the given command) as a process; does not wait."""
        self.ports[name] = free_port()
        process = ManagedProcess(
            name,
            [sys.executable, "-m", "ferroflux.cli.main", *(command or (name,))],
            log_dir=self._folder / "logs",
            env={**self._environment, "FERROFLUX_HTTP__PORT": str(self.ports[name]), **(environment or {})},
        )
        self.processes[name] = process
        process.start()
        return process

    def start_all(self) -> None:
        """Indexer, replica and API, ready."""
        for name in ("indexer", "replica", "api"):
            self.start(name)
            self.wait_ready(name)

    def wait_ready(self, name: str, timeout_s: float = 120) -> float:
        """Wait for /readyz; seconds that this took."""
        started = time.perf_counter()

        def ready() -> bool:
            assert self.processes[name].running, f"{name} ended:\n{self.processes[name].tail()}"
            try:
                return httpx.get(self.url(name, "/readyz"), timeout=2).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready, timeout=timeout_s, what=f"{name} to be ready")
        return time.perf_counter() - started

    def url(self, name: str, path: str = "") -> str:
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def status(self) -> dict[str, Any]:
        """What the API's `/v1/status` says."""
        found: dict[str, Any] = httpx.get(self.url("api", "/v1/status"), timeout=10).raise_for_status().json()
        return found

    async def vector_index(self) -> VectorIndex:
        """The vector store, opened as the processes open it; the caller closes it."""
        return await open_vector_index(self._vectors)

    def _start_stand_in(self) -> None:
        folder = self._folder / "stand-in"
        kept = self._kept_stand_in
        if self._loaded and kept.exists():
            shutil.copytree(kept, folder)
        self._run_stand_in(folder)

    def _run_stand_in(self, folder: Path) -> None:
        process = ManagedProcess(
            "vectors",
            [
                *(sys.executable, "-u", "-m", "tests.support.qdrant_grpc"),
                *("--port", str(self._vectors.grpc_port), "--dir", str(folder)),
            ],
            log_dir=self._folder / "logs",
            env={"PYTHONPATH": str(ROOT)},
        )
        self.processes["vectors"] = process
        process.start()
        process.wait_for_line("ready", timeout=60)

    @property
    def _kept_stand_in(self) -> Path:
        return self._prepared.folder / "stand-in"

    async def _open_collection(self) -> None:
        index = await self.vector_index()
        try:
            await index.prepare(spaces_of(encoder().revision))
            if self._loaded and (await index.counts()).alive == 0:
                await self._prepared.pour_into(index)
                if not self._server:
                    self._keep_stand_in()
        finally:
            await index.close()

    def _keep_stand_in(self) -> None:
        """Stop the stand-in for a moment and keep its folder: the next benchmark starts from it."""
        self.processes["vectors"].stop()
        shutil.copytree(self._folder / "stand-in", self._kept_stand_in)
        self.processes["vectors"].start()
        self.processes["vectors"].wait_for_line("ready", timeout=60)
