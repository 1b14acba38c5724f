"""`ferroflux up` as a process on a given data directory."""

import asyncio
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from ferroflux.data_directory import DataDirectory
from tests.support.processes import ManagedProcess, free_port

TOPIC = "warehouse.changes"


class Embedded:
    """The one process. A context manager: started and ready inside, stopped in order at the end."""

    def __init__(self, data: DataDirectory, logs: Path, environment: dict[str, str] | None = None) -> None:
        self.port = free_port()
        self._data = data
        self.process = ManagedProcess(
            "up",
            [
                *(sys.executable, "-m", "ferroflux.cli.main", "up", "--data-dir", str(data.root)),
                *("--port", str(self.port), "--no-sample"),
            ],
            log_dir=logs,
            env=environment,
        )
        self.ready_after_s = 0.0

    def __enter__(self) -> Self:
        started = time.perf_counter()
        self.process.start()
        self.process.wait_for_line('"event": "ready"', timeout=180)
        self.ready_after_s = time.perf_counter() - started
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.stop(timeout=90)

    @property
    def bootstrap(self) -> str:
        """Address of its Kafka protocol."""
        address: str = orjson.loads(self._data.endpoint.read_bytes())["kafka"]
        return address

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def status(self) -> dict[str, Any]:
        """What `/v1/status` says."""
        async with httpx.AsyncClient(timeout=30) as client:
            answer = await client.get(self.url("/v1/status"))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    async def holds(self, products: int, *, timeout_s: float = 600) -> None:
        """Wait until so many products are in both stores."""
        async with asyncio.timeout(timeout_s):
            while True:
                catalogue = (await self.status())["catalogue"]
                if (catalogue["documents"], catalogue["vectors"]) == (products, products):
                    return
                await asyncio.sleep(0.5)
