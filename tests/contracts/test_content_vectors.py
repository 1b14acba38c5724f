"""The content store's contract over every adapter; a real server joins as in `test_vector_index`."""

import os
import sqlite3
import uuid
from collections.abc import AsyncIterator

import pytest
from qdrant_client import AsyncQdrantClient
from structlog.testing import capture_logs

from retrieval.vectors.contents import ContentVectors, SqliteContentVectors, pack, unpack
from retrieval.vectors.factory import opened_contents, remote_client
from retrieval.vectors.qdrant.contents import QdrantContentVectors
from retrieval.vectors.settings import VectorSettings, VectorStoreKind
from schemas.errors import StoreUnavailableError
from tests.contracts.content_vectors_suite import BOUND, ContentVectorsContract, dense, held, names, put, sparse
from tests.support.qdrant_grpc import Fault, StandInServer

SERVER_URL = os.environ.get("FERROFLUX_TEST_QDRANT_URL", "")


class TestSqliteInMemory(ContentVectorsContract):
    @pytest.fixture
    async def store(self, hours) -> AsyncIterator[ContentVectors]:
        store = SqliteContentVectors(":memory:", BOUND, clock=hours)
        yield store
        await store.close()

    @pytest.fixture
    def other(self, store) -> ContentVectors:
        return store


class TestSqliteFile(ContentVectorsContract):
    @pytest.fixture
    async def store(self, tmp_path, hours) -> AsyncIterator[ContentVectors]:
        store = SqliteContentVectors(tmp_path / "contents.db", BOUND, clock=hours)
        yield store
        await store.close()

    @pytest.fixture
    def other(self, store) -> ContentVectors:
        return store

    async def test_what_was_used_last_stays_longest(self, store, hours):
        await put(store, 1, 2, *range(100, 170))
        hours.pass_one()
        await held(store, 1)
        filler = iter(range(1000, 100_000))
        while await self.there(store, 2):
            await put(store, next(filler))
        assert await self.there(store, 1)

    async def there(self, store, number: int) -> bool:
        """Without a use."""
        return await store._run(
            lambda file: bool(file.execute("SELECT 1 FROM contents WHERE key LIKE ?", [f"%{number:016x}"]).fetchall())
        )


async def test_a_file_is_read_again_and_shrinks_where_its_bound_was_lowered(tmp_path):
    path = tmp_path / "contents.db"
    store = SqliteContentVectors(path, 8 * BOUND)
    await put(store, *range(1000))
    await store.close()
    before = path.stat().st_size
    store = SqliteContentVectors(path, BOUND)
    assert await held(store, 999) == names(999)
    await store.close()
    assert path.stat().st_size <= BOUND * 1.5 < before


@pytest.mark.parametrize("damage", [b"no database at all " * 500, None])
async def test_a_damaged_file_is_begun_anew(tmp_path, damage):
    path = tmp_path / "contents.db"
    store = SqliteContentVectors(path, 100 * BOUND)
    await put(store, *range(1000))
    await store.close()
    if damage is None:  # its head is whole, its tables are not
        whole = path.read_bytes()
        damage = whole[:4096] + b"\xff" * (len(whole) - 4096)
    path.write_bytes(damage)
    store = SqliteContentVectors(path, 100 * BOUND)
    with capture_logs() as logs, pytest.raises(sqlite3.DatabaseError):
        await held(store, 1)
    assert [entry["event"] for entry in logs] == ["the content store is begun anew"]
    await put(store, 1)
    assert await held(store, 1, 2) == names(1)
    await store.close()


class TestQdrantLocal(ContentVectorsContract):
    @pytest.fixture
    def client(self) -> AsyncQdrantClient:
        return AsyncQdrantClient(location=":memory:")

    @pytest.fixture
    def store(self, client, hours) -> ContentVectors:
        return QdrantContentVectors(client, VectorSettings(content_bytes=BOUND), local=True, clock=hours)

    @pytest.fixture
    def other(self, client) -> ContentVectors:
        return QdrantContentVectors(client, VectorSettings(content_bytes=BOUND), local=True)


class ServerContract(ContentVectorsContract):
    @pytest.fixture
    async def store(self, settings, collection, hours) -> AsyncIterator[ContentVectors]:
        store = QdrantContentVectors(remote_client(settings), settings, collection=collection, clock=hours)
        yield store
        await store.close()

    @pytest.fixture
    async def other(self, settings, collection, hours) -> AsyncIterator[ContentVectors]:
        other = QdrantContentVectors(remote_client(settings), settings, collection=collection, clock=hours)
        yield other
        await other.close()

    @pytest.fixture
    def collection(self) -> str:
        return f"ferroflux-test-{uuid.uuid4().hex}"


def server_settings(port: int) -> VectorSettings:
    return VectorSettings(
        kind=VectorStoreKind.QDRANT, url="http://127.0.0.1:6333", grpc_port=port, content_bytes=BOUND, timeout_s=20.0
    )


class TestQdrantStandIn(ServerContract):
    @pytest.fixture
    async def server(self) -> AsyncIterator[StandInServer]:
        async with StandInServer() as server:
            yield server

    @pytest.fixture
    def settings(self, server) -> VectorSettings:
        return server_settings(server.port)

    async def test_a_collection_that_somebody_removed_is_made_again(self, store, settings, collection):
        await put(store, 1)
        client = remote_client(settings)
        await client.delete_collection(collection)
        await client.close()
        with pytest.raises(Exception, match="doesn't exist"):
            await held(store, 1)
        await put(store, 2)
        assert await held(store, 1, 2) == names(2)

    async def test_a_call_that_fails_is_not_tried_again(self, store, server):
        await put(store, 1)
        server.faults.inject("Get", Fault.UNAVAILABLE_BEFORE)
        with pytest.raises(StoreUnavailableError):
            await held(store, 1)
        assert await held(store, 1) == names(1)

    async def test_by_the_settings_it_is_opened_or_there_is_none(self, settings):
        async with opened_contents(settings) as contents:
            await put(contents, 1)
            assert await held(contents, 1) == names(1)
        async with opened_contents(settings.model_copy(update={"content_bytes": 0})) as contents:
            assert contents is None
        async with opened_contents(settings, wanted=False) as contents:
            assert contents is None


if SERVER_URL:

    class TestQdrantServer(ServerContract):
        @pytest.fixture
        async def settings(self, collection) -> AsyncIterator[VectorSettings]:
            grpc_port = int(os.environ.get("FERROFLUX_TEST_QDRANT_GRPC_PORT", "6334"))
            settings = server_settings(grpc_port).model_copy(update={"url": SERVER_URL})
            yield settings
            client = remote_client(settings)
            await client.delete_collection(collection)
            await client.close()


def test_a_bit_that_fell_over_is_noticed():
    for packed in (pack(dense(1)), pack(sparse(1, 2))):
        for place in (0, 3, len(packed) // 2, len(packed) - 1):
            damaged = bytearray(packed)
            damaged[place] ^= 4
            assert unpack(bytes(damaged)) is None
        assert unpack(packed[:-4]) is None
        assert unpack(packed) is not None
