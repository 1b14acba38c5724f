"""Held versions in memory, straight from a vector index, and over HTTP from a running system: one contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from ferroflux.embedded.intake.held import held_router
from ferroflux.ingest.held import store
from ferroflux.ingest.held.store import OperatorsHeldVersions, StoreHeldVersions, open_production
from ferroflux.ingest.held.versions import (
    HELD_PATH,
    Held,
    HeldVersions,
    HttpHeldVersions,
    NotLookedError,
)
from indexer.settings import IndexerSettings
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointPayload, PointWrite
from runtime.http.problems import install_problem_handlers
from runtime.rights.body_gate import BodyBounds, BodyGateMiddleware
from runtime.rights.keys import Access
from runtime.rights.settings import KeyGrant
from schemas.api.limits import MAX_HELD
from schemas.api.routes import Role
from schemas.errors import InvalidRequestError, StoreUnavailableError
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET
from schemas.product.merge import ItemState, merge_all
from schemas.product.sources import SourceHistory
from tests.contracts.held_versions_suite import DELETED, EVENTS, LIVING, OTHERS, PRICE, SOURCES, HeldVersionsContract
from tests.support.clock import ClockOf
from tests.support.held_versions import MemoryHeldVersions

NOW_US = 1_790_000_000_000_000


async def index_of(states: Mapping[SkuKey, bytes] | None = None) -> MemoryIndex:
    held = {key: merge_all(one for one in EVENTS if one.key == key) for key in {one.key for one in EVENTS}}
    written = {key: state.to_bytes() for key, state in held.items()} | dict(states or {})
    index = MemoryIndex()
    await index.write([PointWrite(key, None, PointPayload(1, alive=True, state=raw)) for key, raw in written.items()])
    return index


def up(
    index: MemoryIndex, keys: Mapping[str, tuple[KeyGrant, ...]] | None = None, *, most: int = 64 * 1024
) -> httpx.ASGITransport:
    """The route as `ferroflux up` serves it."""
    app, access = FastAPI(), Access(keys or {})
    app.state.access = access
    app.include_router(
        held_router(StoreHeldVersions(index, clock=ClockOf(lambda: NOW_US / 1e6), sources=lambda: SOURCES))
    )
    install_problem_handlers(app)
    app.add_middleware(BodyGateMiddleware, access=access, bounds=BodyBounds(most))
    return httpx.ASGITransport(app)


class TestMemory(HeldVersionsContract):
    @pytest.fixture
    def held(self) -> HeldVersions:
        held = MemoryHeldVersions({(one.key, one.facet): Held(one.stamp, one.changed_at_us) for one in EVENTS})
        held.sources = SOURCES
        return held


class TestStore(HeldVersionsContract):
    @pytest.fixture
    async def held(self) -> HeldVersions:
        return StoreHeldVersions(await index_of(), sources=lambda: SOURCES)

    async def test_a_state_that_cannot_be_read_keeps_no_other_from_being_looked_at(self) -> None:
        held = StoreHeldVersions(await index_of({OTHERS: b"{torn"}))
        look = await held.look([(OTHERS, ITEM_FACET), (DELETED, ITEM_FACET)])
        assert list(look.held) == [(DELETED, ITEM_FACET)]


class TestOperatorsStore(HeldVersionsContract):
    @pytest.fixture
    async def held(self) -> AsyncIterator[HeldVersions]:
        index = await index_of()
        async with OperatorsHeldVersions(lambda _: asyncio.sleep(0, (index, SOURCES))) as held:
            yield held

    async def test_without_a_collection_nothing_is_held(self) -> None:
        async with OperatorsHeldVersions(lambda _: asyncio.sleep(0, (None, SourceHistory()))) as held:
            assert (await held.look([(LIVING, PRICE)])).held == {}

    async def test_a_store_that_is_away_or_refuses_us_was_not_looked_at(self, monkeypatch) -> None:
        async def away(_: object) -> None:
            raise StoreUnavailableError("no answer")

        async with OperatorsHeldVersions(away) as held:
            with pytest.raises(NotLookedError, match="no answer"):
                await held.look([(LIVING, PRICE)])
        monkeypatch.setattr(store, "OPEN_WITHIN_S", 0.01)
        async with OperatorsHeldVersions(lambda _: asyncio.sleep(60, (None, SourceHistory()))) as held:
            with pytest.raises(NotLookedError, match="did not answer within"):
                await held.look([(LIVING, PRICE)])

    async def test_a_store_that_one_process_owns_cannot_be_looked_at(self) -> None:
        async with OperatorsHeldVersions(lambda stack: open_production(IndexerSettings(), stack)) as held:
            with pytest.raises(NotLookedError, match="one process owns"):
                await held.look([(LIVING, PRICE)])


class TestHttp(HeldVersionsContract):
    @pytest.fixture
    async def held(self) -> AsyncIterator[HeldVersions]:
        async with HttpHeldVersions("http://up", transport=up(await index_of())) as held:
            yield held

    async def test_the_answer_says_the_servers_time(self, held: HeldVersions) -> None:
        assert (await held.look([(LIVING, PRICE)])).now_us == NOW_US

    async def test_a_server_that_takes_less_is_asked_for_less(self) -> None:
        async with HttpHeldVersions("http://up", transport=up(await index_of(), most=400)) as held:
            many = [(SkuKey.of("norte", f"S{n}"), ITEM_FACET) for n in range(40)]
            assert list((await held.look([*many, (LIVING, PRICE)])).held) == [(LIVING, PRICE)]

    async def test_a_key_looks_at_its_own_tenant_only(self) -> None:
        keys = {
            name: (KeyGrant(key=SecretStr(f"key-of-{name}"), roles=frozenset({Role.WRITE})),)
            for name in ("norte", "sur")
        }
        transport = up(await index_of(), keys)
        async with HttpHeldVersions("http://up", api_key="key-of-norte", transport=transport) as held:
            assert len((await held.look([(LIVING, PRICE)])).held) == 1
            with pytest.raises(InvalidRequestError, match="does not open this tenant"):
                await held.look([(LIVING, PRICE), (OTHERS, ITEM_FACET)])
        async with HttpHeldVersions("http://up", transport=transport) as held:
            with pytest.raises(InvalidRequestError, match="asks for a key"):
                await held.look([(LIVING, PRICE)])

    async def test_a_store_that_does_not_answer_is_a_server_to_be_asked_again(self) -> None:
        away = MemoryHeldVersions()
        away.away = True
        app = FastAPI()
        app.state.access = Access({})
        app.include_router(held_router(away))
        install_problem_handlers(app)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://up") as client:
            answer = await client.post(HELD_PATH, json={"registers": [{"tenant": "norte", "sku": "A"}]})
        assert answer.status_code == 503

    async def test_a_release_without_the_route_was_not_looked_at(self) -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(404, json={"title": "Not found"}))
        async with HttpHeldVersions("http://up", transport=transport) as held:
            with pytest.raises(NotLookedError, match="of a release that does not tell"):
                await held.look([(LIVING, PRICE)])

    @pytest.mark.parametrize(
        "registers",
        [
            [{"tenant": "norte", "sku": "A"}] * (MAX_HELD + 1),
            [{"tenant": "no tenant!", "sku": "A"}],
            [{"tenant": "norte", "sku": "\x07"}],
            [{"tenant": "norte", "sku": "A", "facet": "Not A Facet"}],
        ],
        ids=["too many", "tenant", "sku", "facet"],
    )
    async def test_what_breaks_the_contract_is_refused(self, registers) -> None:
        async with httpx.AsyncClient(transport=up(await index_of()), base_url="http://up") as client:
            answer = await client.post(HELD_PATH, json={"registers": registers})
        assert answer.status_code == 422


def test_the_states_of_the_suite_are_those_of_the_merge() -> None:
    assert set(merge_all(EVENTS[:3]).facets) == {one.facet for one in EVENTS[:3]}
    assert ItemState.from_bytes(merge_all(EVENTS[:3]).to_bytes()).facets[PRICE].stamp == EVENTS[1].stamp
