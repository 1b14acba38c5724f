"""The collection's own id: another one under its name is told from it, and one of an earlier release is given one."""

import shutil

import orjson
import pytest
from qdrant_client import models

from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.factory import drop_collection, open_vector_index, remote_client
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.record import IDENTITY_KEY
from retrieval.vectors.settings import VectorSettings, VectorStoreKind
from retrieval.vectors.spaces import RECORD_KEY, spaces_of
from schemas.errors import NotReadyError
from tests.contracts.vector_index_suite import REVISION
from tests.support.qdrant_grpc import StandInServer


async def opened(settings: VectorSettings):
    index = await open_vector_index(settings)
    await index.prepare(spaces_of(REVISION))
    return index


async def test_a_folder_that_is_made_anew_has_another_id(tmp_path):
    settings = VectorSettings(directory=tmp_path / "vectors")
    first = await opened(settings)
    made = await first.identity()
    await first.close()
    again = await opened(settings)
    assert await again.identity() == made
    await again.close()
    shutil.rmtree(settings.directory / "shard")
    anew = await opened(settings)
    assert await anew.identity() not in (None, made)
    await anew.close()


async def test_a_folder_of_the_release_before_is_given_an_id_that_lasts(tmp_path):
    settings = VectorSettings(directory=tmp_path / "vectors")
    await (await opened(settings)).close()
    record = settings.directory / "model.json"
    record.write_bytes(orjson.dumps({RECORD_KEY: orjson.loads(record.read_bytes())[RECORD_KEY]}))
    index = await opened(settings)
    assert await index.identity() is None
    given = await index.identify()
    assert await index.recorded() == REVISION.record()
    await index.close()
    again = await opened(settings)
    assert await again.identity() == await again.identify() == given
    await again.close()


async def test_before_there_is_an_index_it_has_no_id(tmp_path):
    for index in (await EdgeIndex.open(VectorSettings(directory=tmp_path / "vectors")), MemoryIndex()):
        assert await index.identity() is None
        with pytest.raises(NotReadyError):
            await index.identify()
        await index.close()


@pytest.fixture
async def server():
    async with StandInServer(build_indexes=False) as running:
        yield VectorSettings(kind=VectorStoreKind.QDRANT, url="http://127.0.0.1:6333", grpc_port=running.port)


async def test_a_collection_that_is_made_anew_has_another_id(server):
    index = await opened(server)
    made = await index.identity()
    await drop_collection(server)
    assert await index.identity() is None
    await index.prepare(spaces_of(REVISION))
    assert await index.identity() not in (None, made)
    await index.close()


async def test_two_processes_give_a_collection_of_the_release_before_the_same_id(server):
    client = remote_client(server)
    await client.create_collection(
        server.collection,
        vectors_config={"text": models.VectorParams(size=REVISION.dimension, distance=models.Distance.COSINE)},
        metadata={RECORD_KEY: REVISION.record()},
    )
    await client.close()
    one, other = await opened(server), await opened(server)
    assert await one.identity() is None
    assert await one.identify() == await other.identify() == await other.identity()
    assert await one.recorded() == REVISION.record()
    info = await (client := remote_client(server)).get_collection(server.collection)
    assert set(info.config.metadata or {}) == {RECORD_KEY, IDENTITY_KEY}
    for each in (one, other, client):
        await each.close()
