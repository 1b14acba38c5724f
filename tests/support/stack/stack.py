"""Starts the processes, waits until all that was sent has arrived everywhere, and opens what they wrote."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from retrieval.serving.replica_status import read_status
from retrieval.text.factory import open_reader
from retrieval.text.port import TextIndexReader
from retrieval.text.settings import TextIndexSettings
from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.settings import VectorSettings, VectorStoreKind
from schemas.topics import TopicNames
from tests.support.data import ROOT
from tests.support.kafka.clients import committed, end_offsets
from tests.support.kafka.server import KafkaServer
from tests.support.processes import ManagedProcess, free_port, wait_until
from tests.support.waiting import eventually


class Stack:
    """One installation: its topics, its consumer group, its folders. Everything it starts ends with `stop`."""

    def __init__(
        self,
        folder: Path,
        *,
        kafka: KafkaServer,
        topics: TopicNames,
        partitions: int = 6,
        mapping: Path | None = None,
        encoder: str = "hashing",
    ) -> None:
        self.kafka = kafka
        self.topics = topics
        self.group = f"indexers-{topics.documents}"
        self.text_directory = folder / "text"
        self._folder = folder
        self._grpc_port = free_port()
        self._processes: list[ManagedProcess] = []
        self._ports: dict[str, int] = {}
        self._environment = {
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "FERROFLUX_TEST_ENCODER": encoder,
            "FERROFLUX_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "FERROFLUX_KAFKA__PARTITIONS": str(partitions),
            "FERROFLUX_KAFKA__TOPICS": topics.model_dump_json(),
            "FERROFLUX_VECTORS__KIND": "qdrant",
            "FERROFLUX_VECTORS__URL": "http://127.0.0.1:6333",
            "FERROFLUX_VECTORS__GRPC_PORT": str(self._grpc_port),
            "FERROFLUX_CONSUMER__GROUP_ID": self.group,
            "FERROFLUX_CONSUMER__SESSION_TIMEOUT_MS": "6000",
            "FERROFLUX_TEXT__DIRECTORY": str(self.text_directory),
            "FERROFLUX_HTTP__HOST": "127.0.0.1",
            **({"FERROFLUX_MAPPING": str(mapping)} if mapping else {}),
        }
        self.vectors = self._process(
            "vectors",
            [
                *(sys.executable, "-m", "tests.support.qdrant_grpc"),
                *("--port", str(self._grpc_port), "--dir", str(folder / "vectors")),
            ],
        )

    @property
    def environment(self) -> Mapping[str, str]:
        """The settings of every process of the installation."""
        return self._environment

    @property
    def vector_grpc_port(self) -> int:
        """Where the vector store is reached by gRPC."""
        return self._grpc_port

    def start_vectors(self) -> None:
        """The Qdrant stand-in, in a process of its own."""
        self.vectors.start()
        self.vectors.wait_for_line("ready", timeout=20)

    def start(self, role: str, name: str | None = None, environment: Mapping[str, str] | None = None) -> ManagedProcess:
        """Start an `indexer`, a `replica` or an `api`; several of a role need names. Does not wait for readiness."""
        name = name or role
        self._ports[name] = free_port()
        process = self._process(
            name,
            [sys.executable, "-m", "tests.support.stack.process", role],
            {"FERROFLUX_HTTP__PORT": str(self._ports[name]), **(environment or {})},
        )
        process.start()
        return process

    def command(self, name: str, *arguments: str) -> ManagedProcess:
        """`ferroflux <arguments>` with this installation's settings, not started yet."""
        return self._process(name, [sys.executable, "-m", "tests.support.stack.process", "cli", *arguments])

    def url(self, name: str, path: str = "") -> str:
        """Address of a process's HTTP port."""
        return f"http://127.0.0.1:{self._ports[name]}{path}"

    def wait_ready(self, *names: str, timeout: float = 60) -> None:
        """Wait until /readyz of each process answers 200."""
        for name in names:
            process = next(process for process in reversed(self._processes) if process.name == name)

            def ready(name: str = name, process: ManagedProcess = process) -> bool:
                assert process.running, f"{name} ended with {process.returncode}:\n{process.tail()}"
                try:
                    return httpx.get(self.url(name, "/readyz"), timeout=2).status_code == 200
                except httpx.TransportError:
                    return False

            try:
                wait_until(ready, timeout=timeout, what=f"{name} to be ready")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{process.tail()}") from None

    async def settled(self, *, timeout: float = 120) -> None:
        """Wait until the indexers have committed every change and the replica holds every document of the log."""
        (changes,) = self.topics.changes

        async def behind() -> int:
            ends = await end_offsets(self.kafka.bootstrap, changes)
            done = await committed(self.kafka.bootstrap, self.group)
            return sum(end - max(0, done.get((changes, number), 0)) for number, end in ends.items())

        left = -1
        for _ in range(int(timeout / 0.25)):
            self.assert_alive()
            left = await behind()
            if left == 0:
                break
            await asyncio.sleep(0.25)
        assert left == 0, f"the indexers are {left} records behind after {timeout} s:\n{self.tails()}"
        ends = await end_offsets(self.kafka.bootstrap, self.topics.documents)

        def whole() -> bool:
            self.assert_alive()
            status = read_status(self.text_directory)
            if status is None:
                return False
            positions = {part.partition: part.position for part in status.partitions}
            return all(positions.get(number, 0) >= end for number, end in ends.items())

        try:
            await eventually(whole, timeout=timeout, pause=0.1)
        except TimeoutError:
            raise AssertionError(f"the replica does not reach {ends}:\n{self.tails()}") from None

    def assert_alive(self) -> None:
        """Fail when a process ended that nobody stopped."""
        for process in self._processes:
            assert not process.crashed, f"{process.name} ended with {process.returncode}:\n{process.tail()}"

    @asynccontextmanager
    async def vector_index(self, collection: str = "catalogue") -> AsyncIterator[VectorIndex]:
        """The vector index, opened as the processes open it; of another generation by its collection's name."""
        settings = VectorSettings(
            kind=VectorStoreKind.QDRANT,
            url="http://127.0.0.1:6333",
            grpc_port=self._grpc_port,
            collection=collection,
        )
        index = await open_vector_index(settings)
        try:
            yield index
        finally:
            await index.close()

    def text_index(self) -> TextIndexReader:
        """The replica, opened read-only."""
        reader = open_reader(TextIndexSettings(directory=self.text_directory))
        reader.refresh()
        return reader

    def tails(self) -> str:
        """The ends of all logs, for a failure's message."""
        return "\n".join(f"--- {process.name}\n{process.tail(15)}" for process in self._processes)

    def stop(self) -> None:
        """Stop everything, the stores last."""
        for process in reversed(self._processes):
            process.stop(timeout=15)

    def _process(self, name: str, command: list[str], environment: Mapping[str, str] | None = None) -> ManagedProcess:
        process = ManagedProcess(
            name, command, log_dir=self._folder / "logs", env={**self._environment, **(environment or {})}
        )
        self._processes.append(process)
        return process
