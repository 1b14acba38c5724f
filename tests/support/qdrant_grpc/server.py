"""The stand-in as a whole: starts, listens, stops, and starts again on the same directory and port."""

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
from qdrant_client import grpc as wire

from tests.support.qdrant_grpc.collections import Collections
from tests.support.qdrant_grpc.faults import CONTROL_METHOD, Faults
from tests.support.qdrant_grpc.services import CollectionsService, Health, Points, Served


class StandInServer:
    """Serves on 127.0.0.1. `port` 0 takes a free one; without a directory the data goes with the instance.

    With `build_indexes` off, payload indexes are only noted: answers are the same, and a fresh collection is there in a
    fraction of the time, which is what tests of a few points want.
    """

    def __init__(
        self, directory: Path | None = None, *, port: int = 0, version: str = "1.18.3", build_indexes: bool = True
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="qdrant-") if directory is None else None
        self._directory = Path(self._temporary.name) if self._temporary else directory
        self._version = version
        self._build_indexes = build_indexes
        self.port = port
        self.faults = Faults()
        self._server: grpc.aio.Server | None = None
        self._collections: Collections | None = None

    async def start(self) -> None:
        self._collections = Collections(self._directory)
        served = Served(self._collections, self.faults, build_indexes=self._build_indexes)
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._server = grpc.aio.server(options=[*unlimited, ("grpc.so_reuseport", 0)])
        wire.add_PointsServicer_to_server(Points(served), self._server)
        wire.add_CollectionsServicer_to_server(CollectionsService(served), self._server)
        wire.add_QdrantServicer_to_server(Health(self._version), self._server)
        service, method = CONTROL_METHOD.strip("/").split("/")
        control = grpc.method_handlers_generic_handler(
            service, {method: grpc.unary_unary_rpc_method_handler(self.faults.control)}
        )
        self._server.add_generic_rpc_handlers((control,))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self, grace_s: float | None = None) -> None:
        """Stop listening and close the data; `start` serves it again."""
        await self._server.stop(grace_s)
        self._collections.close()

    async def wait(self) -> None:
        await self._server.wait_for_termination()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
        if self._temporary:
            self._temporary.cleanup()
