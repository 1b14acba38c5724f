"""What the server's adapter makes of a server that is away, slow, half done or dishonest."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from retrieval.filters import CatalogueFilter
from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.port import PointWrite, VectorIndex
from retrieval.vectors.settings import RetrySettings, VectorSettings, VectorStoreKind
from retrieval.vectors.spaces import spaces_of
from schemas.errors import ConfigurationError, StoreRefusedError, StoreUnavailableError
from tests.contracts.vector_index_suite import REVISION, TENANT, axis, create, key, payload, update
from tests.support.qdrant_grpc import Fault, StandInServer

pytestmark = pytest.mark.slow


def settings_for(server: StandInServer, **changes) -> VectorSettings:
    fields = {
        "kind": VectorStoreKind.QDRANT,
        "url": "http://127.0.0.1:6333",
        "grpc_port": server.port,
        "timeout_s": 5.0,
        "retry": RetrySettings(attempts=3, first_delay_s=0.001, max_delay_s=0.002, deadline_s=30.0),
    }
    return VectorSettings(**{**fields, **changes})


@pytest.fixture
async def server() -> AsyncIterator[StandInServer]:
    async with StandInServer(build_indexes=False) as server:
        yield server


@pytest.fixture
async def index(server) -> AsyncIterator[VectorIndex]:
    index = await open_vector_index(settings_for(server))
    await index.prepare(spaces_of(REVISION))
    yield index
    await index.close()


@pytest.fixture
async def hasty(server, index) -> AsyncIterator[VectorIndex]:
    """A second writer on the prepared collection, which gives a try 0.3 s."""
    hasty = await open_vector_index(settings_for(server, timeout_s=0.3))
    yield hasty
    await hasty.close()


BATCH: list[PointWrite] = [create(f"s{n}", axis(n % 8), price=float(n)) for n in range(8)]
KEYS = [write.key for write in BATCH]


@pytest.mark.parametrize(
    "fault",
    [Fault.UNAVAILABLE_BEFORE, Fault.UNAVAILABLE_AFTER, Fault.HALF, Fault.WAIT_TIMEOUT, Fault.INTERNAL],
)
async def test_a_failed_write_is_made_again_and_its_own_effect_is_not_taken_for_anothers(server, index, fault):
    server.faults.inject("UpdateBatch", fault, times=2)
    assert await index.write(BATCH) == frozenset()
    assert await index.read(KEYS) == {write.key: write.payload for write in BATCH}

    server.faults.inject("UpdateBatch", fault, times=2)
    assert await index.write([update(each.sku, 1, price=7.0) for each in KEYS]) == frozenset()
    assert await index.read(KEYS) == {each: payload(2, price=7.0) for each in KEYS}


async def test_a_write_that_the_server_only_pretends_to_make_is_reported_as_refused(server, index):
    server.faults.inject("UpdateBatch", Fault.IGNORE)
    assert await index.write(BATCH) == set(KEYS)
    assert await index.write(BATCH) == frozenset()


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE_BEFORE, Fault.UNAVAILABLE_AFTER, Fault.HALF, Fault.WAIT_TIMEOUT])
async def test_a_write_gives_up_after_its_tries_and_leaves_a_state_that_a_new_read_can_build_on(server, index, fault):
    server.faults.inject("UpdateBatch", fault, times=3)
    with pytest.raises(StoreUnavailableError, match="could not write points"):
        await index.write(BATCH)
    assert server.faults.calls["UpdateBatch"] == 3
    held = await index.revisions(KEYS)
    again = [update(each.sku, 1) if each in held else create(each.sku) for each in KEYS]
    assert await index.write(again) == frozenset()


async def test_an_answer_that_is_lost_in_the_read_back_is_asked_for_again(server, index):
    server.faults.inject("Get", Fault.UNAVAILABLE_BEFORE, times=2)
    assert await index.write(BATCH) == frozenset()


async def test_a_slow_answer_passes_its_deadline_and_the_write_still_counts_as_ours(server, hasty):
    server.faults.inject("UpdateBatch", Fault.SLOW_AFTER, delay_s=1.0)
    assert await hasty.write(BATCH) == frozenset()


async def test_a_store_that_stays_slow_is_unavailable_within_the_tries(server, hasty):
    server.faults.inject("Query", Fault.SLOW_BEFORE, times=3, delay_s=1.0)
    started = asyncio.get_running_loop().time()
    with pytest.raises(StoreUnavailableError, match=r"no answer within 0\.3 s"):
        await hasty.search(axis(0), using="text", within=CatalogueFilter(TENANT), limit=3)
    assert asyncio.get_running_loop().time() - started < 3.0


async def test_the_deadline_of_a_call_ends_its_tries_early(server, index):
    impatient = await open_vector_index(
        settings_for(server, timeout_s=5.0, retry=RetrySettings(attempts=100, deadline_s=0.3))
    )
    server.faults.inject("Get", Fault.SLOW_BEFORE, times=100, delay_s=1.0)
    with pytest.raises(StoreUnavailableError):
        await impatient.revisions([key("a")])
    assert server.faults.calls["Get"] <= 2
    await impatient.close()


async def test_a_writer_held_before_its_effect_loses_to_one_that_went_past(server, index):
    await index.write([create("a", axis(0), price=0.0)])
    other = await open_vector_index(settings_for(server))
    gate = server.faults.hold("UpdateBatch")
    held = asyncio.create_task(index.write([update("a", 1, price=1.0)]))
    await gate.reached.wait()
    assert await other.write([update("a", 1, price=2.0)]) == frozenset()
    gate.opened.set()
    assert await held == {key("a")}
    assert (await index.read([key("a")]))[key("a")].price == 2.0
    await other.close()


async def test_a_writer_held_before_its_read_back_knows_the_others_write_of_the_same_revision(server, index):
    other = await open_vector_index(settings_for(server))
    gate = server.faults.hold("Get")
    held = asyncio.create_task(index.write([create("a", axis(0), price=1.0)]))
    await gate.reached.wait()
    assert await other.write([create("a", axis(1), price=2.0)]) == {key("a")}
    gate.opened.set()
    assert await held == frozenset()
    assert (await index.read([key("a")]))[key("a")].price == 1.0
    await other.close()


async def test_a_late_effect_of_a_given_up_try_cannot_undo_a_newer_write(server, index, hasty):
    await index.write([create("a", axis(0), price=0.0)])
    server.faults.inject("UpdateBatch", Fault.SLOW_BEFORE, times=1, delay_s=0.6)
    assert await hasty.write([update("a", 1, price=1.0)]) == frozenset()
    assert await index.write([update("a", 2, price=2.0)]) == frozenset()
    await asyncio.sleep(0.5)
    assert (await index.read([key("a")]))[key("a")] == payload(3, price=2.0)


async def test_a_vector_taken_over_belongs_to_the_revision_that_is_replaced(server, index):
    await index.write([create("a", axis(0))])
    other = await open_vector_index(settings_for(server))
    gate = server.faults.hold("UpdateBatch")
    held = asyncio.create_task(index.write([update("a", 1, price=1.0)]))
    await gate.reached.wait()
    await other.write([update("a", 1, axis(5))])
    gate.opened.set()
    assert await held == {key("a")}
    assert (await index.vectors([key("a")], using="text"))[key("a")] == pytest.approx(axis(5), abs=1e-6)
    await other.close()


async def test_a_server_that_restarts_is_found_again(tmp_path):
    server = StandInServer(tmp_path, build_indexes=False)
    await server.start()
    retry = RetrySettings(attempts=50, first_delay_s=0.1, max_delay_s=0.2, deadline_s=30.0)
    index = await open_vector_index(settings_for(server, retry=retry))
    await index.prepare(spaces_of(REVISION))
    await index.write(BATCH)
    await server.stop()
    reading = asyncio.create_task(index.read(KEYS))
    await asyncio.sleep(0.1)
    await server.start()
    assert await reading == {write.key: write.payload for write in BATCH}
    await index.close()
    await server.stop()


async def test_an_absent_server_is_unavailable_and_named():
    settings = VectorSettings(
        kind=VectorStoreKind.QDRANT,
        url="http://127.0.0.1:6333",
        grpc_port=1,
        retry=RetrySettings(attempts=2, first_delay_s=0.0),
    )
    index = await open_vector_index(settings)
    with pytest.raises(StoreUnavailableError, match=r"http://127\.0\.0\.1:6333"):
        await index.prepare(spaces_of(REVISION))
    await index.close()


async def test_a_refused_key_is_a_configuration_error_and_not_tried_again(server, index):
    server.faults.inject("Count", Fault.UNAUTHENTICATED, times=3)
    with pytest.raises(ConfigurationError, match="UNAUTHENTICATED"):
        await index.counts()
    assert server.faults.calls["Count"] <= 3, "once for each of the three counts"


async def test_a_vector_of_the_wrong_dimension_is_refused_with_the_servers_reason(index):
    wrong = PointWrite(key("a"), None, payload(1), {"text": axis(0)[:4]})
    with pytest.raises(StoreRefusedError, match="dim"):
        await index.write([wrong])


async def test_a_server_too_old_for_guarded_creates_is_refused():
    async with StandInServer(version="1.16.2", build_indexes=False) as server:
        index = await open_vector_index(settings_for(server))
        with pytest.raises(ConfigurationError, match=r"1\.16\.2.*1\.17"):
            await index.prepare(spaces_of(REVISION))
        await index.close()


async def test_processes_that_prepare_at_once_make_one_collection():
    async with StandInServer(build_indexes=False) as server:
        indexes = [await open_vector_index(settings_for(server)) for _ in range(4)]
        await asyncio.gather(*(index.prepare(spaces_of(REVISION)) for index in indexes))
        assert await indexes[0].write([create("a", axis(0))]) == frozenset()
        assert await indexes[3].revisions([key("a")]) == {key("a"): 1}
        for index in indexes:
            await index.close()


async def test_a_create_whose_answer_was_lost_is_recognised():
    async with StandInServer(build_indexes=False) as server:
        index = await open_vector_index(settings_for(server))
        server.faults.inject("Create", Fault.UNAVAILABLE_AFTER)
        await index.prepare(spaces_of(REVISION))
        assert await index.write([create("a", axis(0))]) == frozenset()
        await index.close()
