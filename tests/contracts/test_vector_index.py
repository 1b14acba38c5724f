"""The vector index's contract over every adapter.

A real server joins when `FERROFLUX_TEST_QDRANT_URL` names one, by its REST address (`http://host:6333`; gRPC is asked
for on `FERROFLUX_TEST_QDRANT_GRPC_PORT`, 6334 unless told) or by its gRPC address (`http://host:6334`). Each test uses
a collection of its own and deletes it.
"""

import os
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from qdrant_client import AsyncQdrantClient

from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.factory import open_vector_index, remote_client
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.qdrant.index import QdrantIndex
from retrieval.vectors.settings import VectorSettings, VectorStoreKind
from retrieval.vectors.spaces import spaces_of
from tests.contracts.vector_index_suite import REVISION, VectorIndexContract
from tests.support.qdrant_grpc import StandInServer

SERVER_URL = os.environ.get("FERROFLUX_TEST_QDRANT_URL", "")


class TestMemory(VectorIndexContract):
    @pytest.fixture
    async def index(self) -> VectorIndex:
        index = MemoryIndex()
        await index.prepare(spaces_of(REVISION))
        return index


class TestEdge(VectorIndexContract):
    @pytest.fixture
    async def index(self, tmp_path) -> AsyncIterator[VectorIndex]:
        index = await EdgeIndex.open(VectorSettings(directory=tmp_path / "vectors"))
        await index.prepare(spaces_of(REVISION))
        yield index
        await index.close()


class TestQdrantLocal(VectorIndexContract):
    @pytest.fixture
    def client(self) -> AsyncQdrantClient:
        return AsyncQdrantClient(location=":memory:")

    @pytest.fixture
    async def index(self, client) -> VectorIndex:
        index = QdrantIndex(client, VectorSettings(), local=True)
        await index.prepare(spaces_of(REVISION))
        return index

    @pytest.fixture
    def other(self, index, client) -> VectorIndex:
        return QdrantIndex(client, VectorSettings(), local=True)


class ServerContract(VectorIndexContract):
    """Over a server: two writers are two clients."""

    @pytest.fixture
    async def index(self, settings) -> AsyncIterator[VectorIndex]:
        index = await open_vector_index(settings)
        await index.prepare(spaces_of(REVISION))
        yield index
        await index.close()

    @pytest.fixture
    async def other(self, index, settings) -> AsyncIterator[VectorIndex]:
        other = await open_vector_index(settings)
        yield other
        await other.close()


class TestQdrantStandIn(ServerContract):
    @pytest.fixture
    async def settings(self) -> AsyncIterator[VectorSettings]:
        async with StandInServer(build_indexes=False) as server:
            yield VectorSettings(kind=VectorStoreKind.QDRANT, url="http://127.0.0.1:6333", grpc_port=server.port)


if SERVER_URL:

    def server_settings(collection: str) -> VectorSettings:
        given = urlsplit(SERVER_URL)
        grpc_port = int(os.environ.get("FERROFLUX_TEST_QDRANT_GRPC_PORT", "6334"))
        if given.port not in (None, 6333) and "FERROFLUX_TEST_QDRANT_GRPC_PORT" not in os.environ:
            grpc_port = given.port
        return VectorSettings(
            kind=VectorStoreKind.QDRANT, url=SERVER_URL, grpc_port=grpc_port, collection=collection, timeout_s=20.0
        )

    class TestQdrantServer(ServerContract):
        @pytest.fixture
        async def settings(self) -> AsyncIterator[VectorSettings]:
            settings = server_settings(f"ferroflux-test-{uuid.uuid4().hex}")
            yield settings
            client = remote_client(settings)
            await client.delete_collection(settings.collection)
            await client.close()
