"""Graph and quantisation of a collection that is there: changed where the store can, else refused with what to do."""

from collections.abc import AsyncIterator

import orjson
import pytest
from qdrant_client import models

from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.factory import open_vector_index, remote_client
from retrieval.vectors.settings import HnswSettings, Quantisation, VectorSettings, VectorStoreKind
from retrieval.vectors.spaces import spaces_of
from schemas.errors import ConfigurationError
from tests.contracts.vector_index_suite import REVISION, axis, create, key
from tests.support.qdrant_grpc import StandInServer


async def _opened(settings: VectorSettings) -> None:
    index = await open_vector_index(settings)
    try:
        await index.prepare(spaces_of(REVISION))
        await index.apply_settings()
    finally:
        await index.close()


@pytest.fixture
async def server() -> AsyncIterator[VectorSettings]:
    async with StandInServer(build_indexes=False) as server:
        yield VectorSettings(kind=VectorStoreKind.QDRANT, url="http://127.0.0.1:6333", grpc_port=server.port)


async def _config(settings: VectorSettings) -> models.CollectionConfig:
    client = remote_client(settings)
    try:
        return (await client.get_collection(settings.collection)).config
    finally:
        await client.close()


async def test_a_server_is_told_what_differs_and_only_that(server):
    await _opened(server)
    other = server.model_copy(
        update={"hnsw": HnswSettings(m=0, payload_m=24, ef_construct=64), "quantisation": Quantisation.SCALAR}
    )
    await _opened(other)
    changed = await _config(server)
    assert (changed.hnsw_config.m, changed.hnsw_config.payload_m, changed.hnsw_config.ef_construct) == (0, 24, 64)
    assert isinstance(changed.quantization_config, models.ScalarQuantization)
    await _opened(server)
    back = await _config(server)
    assert (back.hnsw_config.m, back.hnsw_config.payload_m, back.hnsw_config.ef_construct) == (16, 16, 100)
    assert back.quantization_config is None
    assert set(back.metadata) == {"model_revision", "collection_id"}


async def test_edge_builds_another_graph_and_quantised_vectors_and_refuses_to_take_them_back(tmp_path):
    plain = VectorSettings(directory=tmp_path / "vectors", index_after_points=16)
    await _opened(plain)
    scalar = plain.model_copy(update={"quantisation": Quantisation.SCALAR, "hnsw": HnswSettings(m=24)})
    index = await EdgeIndex.open(scalar)
    await index.prepare(spaces_of(REVISION))
    await index.apply_settings()
    await index.write([create(f"s{n}", axis(n % 8)) for n in range(400)])
    assert await index.maintain()
    await index.close()
    segments = [orjson.loads(path.read_bytes()) for path in (tmp_path / "vectors").rglob("segment.json")]
    built = [each["config"]["vector_data"]["text"] for each in segments]
    assert any(each["quantization_config"] and each["index"]["options"]["m"] == 24 for each in built)
    with pytest.raises(
        ConfigurationError, match=r"QUANTISATION=scalar, or build a generation .*vectors\.quantisation=none"
    ):
        await _opened(plain)
    await _opened(scalar)
    index = await EdgeIndex.open(plain)
    assert await index.revisions([key("s1")]) == {key("s1"): 1}, "what only reads is not kept from it"
    await index.close()
