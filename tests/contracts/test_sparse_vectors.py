"""The contract of sparse vectors over every adapter of the vector index."""

from collections.abc import AsyncIterator

import pytest
from qdrant_client import AsyncQdrantClient

from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.factory import local_index, open_vector_index
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.qdrant.index import QdrantIndex
from retrieval.vectors.settings import VectorSettings, VectorStoreKind
from retrieval.vectors.spaces import spaces_of
from tests.contracts.sparse_vectors_suite import SPARSE_REVISION, SparseVectorsContract, sparse_hits, weights, write
from tests.contracts.vector_index_suite import REVISION
from tests.support.qdrant_grpc import StandInServer
from training.systems.indexed_catalogue import MatrixIndex


class TestMemory(SparseVectorsContract):
    @pytest.fixture
    async def index(self) -> VectorIndex:
        index = MemoryIndex()
        await index.prepare(spaces_of(SPARSE_REVISION))
        return index


class TestMatrix(SparseVectorsContract):
    @pytest.fixture
    async def index(self) -> VectorIndex:
        index = MatrixIndex()
        await index.prepare(spaces_of(SPARSE_REVISION))
        return index


class TestEdge(SparseVectorsContract):
    @pytest.fixture
    async def index(self, tmp_path) -> AsyncIterator[VectorIndex]:
        index = await EdgeIndex.open(VectorSettings(directory=tmp_path / "vectors"))
        await index.prepare(spaces_of(SPARSE_REVISION))
        yield index
        await index.close()


async def test_edge_has_them_again_after_a_restart(tmp_path):
    settings = VectorSettings(directory=tmp_path / "vectors")
    index = await EdgeIndex.open(settings)
    await index.prepare(spaces_of(SPARSE_REVISION))
    await index.write([write("a", weights(i5=1.0))])
    await index.close()
    index = await EdgeIndex.open(settings)
    await index.prepare(spaces_of(SPARSE_REVISION))
    await index.maintain()
    assert await sparse_hits(index, weights(i5=2.0)) == [("a", 2.0)]
    await index.close()


class TestQdrantLocal(SparseVectorsContract):
    @pytest.fixture
    async def index(self) -> VectorIndex:
        index = local_index()
        await index.prepare(spaces_of(SPARSE_REVISION))
        return index


class TestQdrantStandIn(SparseVectorsContract):
    @pytest.fixture
    async def index(self) -> AsyncIterator[VectorIndex]:
        async with StandInServer(build_indexes=False) as server:
            settings = VectorSettings(kind=VectorStoreKind.QDRANT, url="http://127.0.0.1:6333", grpc_port=server.port)
            index = await open_vector_index(settings)
            await index.prepare(spaces_of(SPARSE_REVISION))
            yield index
            await index.close()


async def test_without_a_sparse_encoder_a_collection_has_no_sparse_space():
    client = AsyncQdrantClient(location=":memory:")
    await QdrantIndex(client, VectorSettings(), local=True).prepare(spaces_of(REVISION))
    described = await client.get_collection(VectorSettings().collection)
    assert described.config.params.sparse_vectors is None
    assert "sparse" not in described.config.metadata["model_revision"]
