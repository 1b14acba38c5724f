"""Every route of every application with the roles that may call it, and each of them tried with every role, and with none."""

from __future__ import annotations

import itertools
from pathlib import Path
from unittest.mock import AsyncMock, Mock

import httpx
import pytest
from fastapi import FastAPI

from agent.api.app import create_app
from agent.metrics import AgentMetrics
from ferroflux.embedded.intake.held import held_router
from ferroflux.embedded.intake.http import changes_router
from ferroflux.operations.routes import operations_router
from indexer.process.app import http_app
from runtime.rights.gate import require_declared_roles, served
from schemas.api.routes import ANY, BARE, PUBLIC, ROUTES, Role
from schemas.errors import ConfigurationError
from schemas.identity import TenantId
from tests.support.agent.serving import Serving
from tests.unit.query_api.app_under_test import Stores

pytestmark = pytest.mark.slow

FIND, TALK, SELL = {Role.SEARCH}, {Role.CHAT}, {Role.ORDERS}
WRITE, OPERATE, ADMIN = {Role.WRITE}, {Role.OPERATE}, {Role.ADMIN}

RIGHTS: dict[str, set[Role] | frozenset[Role]] = {
    "POST /v1/search": FIND,
    "GET /v1/search": FIND,
    "GET /v1/items/{sku:path}/similar": FIND,
    "GET /v1/items/{sku:path}/complements": FIND,
    "GET /v1/items/{sku:path}": FIND,
    "POST /v1/analyze": FIND,
    "GET /v1/suggest": FIND,
    "GET /v1/aliases": FIND,
    "GET /v1/tenants": ANY,
    "GET /v1/status": ANY,
    "POST /v1/chat": TALK,
    "GET /v1/chat": OPERATE,
    "POST /v1/chat/{thread}/retry": OPERATE,
    "GET /v1/chat/{thread}": TALK | OPERATE,
    "GET /v1/chat/{thread}/trace": TALK | OPERATE,
    "DELETE /v1/chat/{thread}": TALK | OPERATE,
    "DELETE /v1/chat": OPERATE,
    "GET /v1/orders": SELL,
    "GET /v1/orders/{order}": SELL,
    "POST /v1/orders/{order}/confirm": SELL,
    "POST /v1/orders/{order}/retry": OPERATE,
    "POST /v1/changes": WRITE,
    "POST /v1/changes/held": WRITE,
    "GET /v1/facets": OPERATE,
    "POST /v1/facets/handover": OPERATE,
    "POST /v1/facets/reset": OPERATE,
    "GET /v1/dead-letters": OPERATE,
    "GET /v1/dead-letters/{letter_id}": OPERATE,
    "POST /v1/dead-letters/redrive": OPERATE,
    "POST /v1/dead-letters/discard": OPERATE,
    "POST /v1/replays": OPERATE,
    "POST /v1/collections": ADMIN,
    "POST /v1/tombstones/gc": ADMIN,
    "GET /v1/generations": ADMIN,
    "POST /v1/generations/build": ADMIN,
    "POST /v1/generations/rollback": ADMIN,
    "POST /v1/generations/{name}/gate": ADMIN,
    "POST /v1/generations/{name}/promote": ADMIN,
    "POST /v1/generations/{name}/drop": ADMIN,
    "GET /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    "GET /metrics": PUBLIC,
    "GET /indexer/{rest:path}": PUBLIC,
    "GET /openapi.json": PUBLIC,
    "GET /chat/openapi.json": PUBLIC,
    "GET /": PUBLIC,
    "GET /assets/{name}": PUBLIC,
    "GET /chat": PUBLIC,
    "GET /chat/assets/{name}": PUBLIC,
}
"""What the issue says, written a second time: a change of the table is a change of this."""

OWN = {role: f"norte-{role}-key-0123456789" for role in Role if role is not Role.ADMIN}
BARE_KEY, ADMIN_KEY, FOREIGN_KEY = (
    "norte-bare-key-0123456789",
    "installation-key-0123456789",
    "sur-every-key-0123456789",
)
EVERY_OTHER = [role.value for role in OWN]
SETTINGS = {
    "api_keys": {
        "norte": [BARE_KEY, *({"key": key, "roles": [role.value]} for role, key in OWN.items())],
        "sur": [{"key": FOREIGN_KEY, "roles": EVERY_OTHER}],
    },
    "admin_keys": [ADMIN_KEY],
}
HOLDERS = {"bare": (BARE_KEY, BARE), "admin": (ADMIN_KEY, ANY), **{str(r): (key, {r}) for r, key in OWN.items()}}

BODIES = {
    "POST /v1/search": {"text": "x"},
    "POST /v1/analyze": {"text": "x"},
    "POST /v1/chat": {"message": "x"},
    "POST /v1/changes": {"sku": "A", "version": 1, "fields": {"title": "x"}},
    "POST /v1/facets/handover": {"facet": "price", "to": "erp"},
    "POST /v1/facets/reset": {"facet": "price"},
}
QUERIES = {"GET /v1/suggest": {"q": "x"}, "DELETE /v1/chat": {"customer": "ana"}}
WITHOUT_TENANT = ("/v1/generations", "/v1/dead-letters/{letter_id}", "/v1/tenants", "/v1/status")


class Backend:
    """What the routes of `ferroflux up` work on; every call of it is noted."""

    def __init__(self) -> None:
        self.mock = Mock()
        self.mock.letter = AsyncMock(return_value={"tenant": "norte"})
        self.mock.letters = AsyncMock(return_value={})
        self.mock.take = AsyncMock()

    @property
    def calls(self) -> int:
        return len(self.mock.mock_calls)


def search_of_up(backend: Mock, **http) -> FastAPI:
    app = Stores().app(http=http)
    app.include_router(changes_router(backend, TenantId("norte")))
    app.include_router(held_router(backend))
    app.include_router(operations_router(backend, Mock()))
    app.mount("/indexer", http_app(readiness=AsyncMock(), registry=Mock(collect=list), refresh=AsyncMock()))
    return app


def client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def ask(caller: httpx.AsyncClient, route: str, key: str = "", tenant: str = "norte") -> httpx.Response:
    method, template = route.split(" ")
    path = template.replace("{sku:path}", "A").replace("{thread}", "t-1").replace("{order}", "order-0001")
    path = path.replace("{letter_id}", "0-1").replace("{rest:path}", "healthz").replace("{name}", "main")
    return await caller.request(
        method,
        path,
        params={"tenant": tenant, **QUERIES.get(route, {})} if method in {"GET", "DELETE"} else {},
        headers={"Authorization": f"Bearer {key}"} if key else {},
        json=None if method in {"GET", "DELETE"} else _body(route, tenant),
    )


def _body(route: str, tenant: str) -> dict[str, object]:
    if route == "POST /v1/changes/held":
        return {"registers": [{"tenant": tenant, "sku": "A"}]}
    return {"tenant": tenant, **BODIES.get(route, {})}


@pytest.fixture(params=["search", "up", "chat"])
def application(request, tmp_path: Path) -> tuple[FastAPI, Backend]:
    backend = Backend()
    match request.param:
        case "search":
            app = Stores().app(http=SETTINGS)
        case "up":
            app = search_of_up(backend.mock, **SETTINGS)
        case _:
            app = Serving(tmp_path, **SETTINGS).app()
    return app, backend


def routes_of(app: FastAPI) -> list[str]:
    return sorted({f"{method} {path}" for method, path in served(app.routes)})


def test_the_table_says_of_every_route_who_may_call_it() -> None:
    assert {f"{method} {path}": route.roles for (method, path), route in ROUTES.items()} == RIGHTS


def test_every_route_is_in_the_table(application) -> None:
    assert set(routes_of(application[0])) <= RIGHTS.keys()


async def test_every_route_is_closed_to_who_has_no_key_or_nobodys(application) -> None:
    app, backend = application
    async with client(app) as caller:
        for route in routes_of(app):
            expected = (None, None) if RIGHTS[route] == PUBLIC else (401, 403)
            for key, status in zip(("", "nobodys-key-0123456789"), expected, strict=True):
                answer = await ask(caller, route, key)
                if status is None:
                    assert answer.status_code not in {401, 403}, (route, key)
                else:
                    assert answer.status_code == status, (route, key, answer.text)
    assert backend.calls == 0


async def test_every_route_is_open_to_its_roles_and_to_no_other(application) -> None:
    app, backend = application
    async with client(app) as caller:
        for holder, route in itertools.product(HOLDERS, routes_of(app)):
            key, held = HOLDERS[holder]
            allowed = RIGHTS[route] == PUBLIC or bool(set(RIGHTS[route]) & set(held))
            before = backend.calls
            answer = await ask(caller, route, key)
            if allowed:
                assert answer.status_code not in {401, 403}, (route, holder, answer.text)
            else:
                assert (answer.status_code, answer.json()["code"]) == (403, "missing_role"), (route, holder)
                assert backend.calls == before, (route, holder)


async def test_a_key_with_every_role_opens_nothing_of_another_tenant(application) -> None:
    app, _ = application
    async with client(app) as caller:
        for route in routes_of(app):
            if RIGHTS[route] == PUBLIC or any(path in route for path in WITHOUT_TENANT):
                continue
            answer = await ask(caller, route, FOREIGN_KEY)
            assert answer.status_code == 403, (route, answer.text)


async def test_a_dead_letter_of_another_tenant_is_as_one_that_is_not_there() -> None:
    backend = Backend()
    async with client(search_of_up(backend.mock, **SETTINGS)) as caller:
        answer = await ask(caller, "GET /v1/dead-letters/{letter_id}", FOREIGN_KEY)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await ask(caller, "GET /v1/dead-letters/{letter_id}", OWN[Role.OPERATE])).status_code == 200


@pytest.mark.parametrize(
    ("route", "body"),
    [
        ("POST /v1/replays", {"apply": True}),
        ("POST /v1/dead-letters/discard", {}),
        ("GET /v1/dead-letters", None),
    ],
)
async def test_what_names_no_tenant_concerns_all_and_wants_the_installations_key(route, body) -> None:
    backend = Backend()
    method, path = route.split(" ")
    async with client(search_of_up(backend.mock, **SETTINGS)) as caller:
        for key, refused in ((OWN[Role.OPERATE], True), (FOREIGN_KEY, True), (ADMIN_KEY, False)):
            answer = await caller.request(method, path, json=body, headers={"X-API-Key": key})
            assert (answer.status_code == 403) is refused, (key, answer.text)


@pytest.mark.parametrize("path", ["/v1/collections%0A", "/v1/generations/main/drop%0A"])
async def test_a_spelling_that_the_table_does_not_know_is_opened_by_no_key(path) -> None:
    backend = Backend()
    async with client(search_of_up(backend.mock, **SETTINGS)) as caller:
        answer = await caller.post(path, json={"apply": True}, headers={"X-API-Key": FOREIGN_KEY})
        assert answer.status_code == 403
    assert backend.calls == 0


async def test_what_is_nowhere_is_not_found_with_any_key() -> None:
    async with client(Stores().app(http=SETTINGS)) as caller:
        assert (await caller.get("/nowhere")).status_code == 404
        assert (await caller.patch("/v1/search", headers={"X-API-Key": BARE_KEY})).status_code == 405


async def test_an_application_with_a_route_of_nobodys_does_not_start(tmp_path: Path) -> None:
    search, chat = Stores().app(), Serving(tmp_path).app()
    for app in (search, chat):
        app.add_api_route("/v1/everything", lambda: None, methods=["DELETE"])
        with pytest.raises(ConfigurationError, match="DELETE /v1/everything"):
            require_declared_roles(app)
        with pytest.raises(ConfigurationError, match="DELETE /v1/everything"):
            async with app.router.lifespan_context(app):
                pass


def test_an_application_is_not_even_made_with_one(monkeypatch, tmp_path: Path) -> None:
    without = {row: route for row, route in ROUTES.items() if row != ("GET", "/v1/orders")}
    monkeypatch.setattr("runtime.rights.gate.ROUTES", without)
    serving = Serving(tmp_path)
    with pytest.raises(ConfigurationError, match="GET /v1/orders"):
        create_app(Mock(), serving._http, AgentMetrics(Mock()))


async def test_a_key_of_two_tenants_has_the_roles_of_each_for_each() -> None:
    key = "key-of-two-tenants-0123456789"
    keys = {"norte": [{"key": key, "roles": ["search"]}], "sur": [{"key": key, "roles": ["operate"]}]}
    async with client(search_of_up(Backend().mock, api_keys=keys)) as caller:
        for route, tenant, refused in (
            ("GET /v1/dead-letters", "sur", False),
            ("GET /v1/dead-letters", "norte", True),
            ("GET /v1/suggest", "norte", False),
            ("GET /v1/suggest", "sur", True),
        ):
            answer = await ask(caller, route, key, tenant)
            assert (answer.status_code == 403) is refused, (route, tenant)


def test_the_description_says_of_every_route_what_it_asks_for(application) -> None:
    app, _ = application
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            wanted = RIGHTS[f"{method.upper()} {path.replace('{sku}', '{sku:path}')}"]
            assert set(operation.get("x-roles", ())) == ({*wanted, Role.ADMIN} if wanted else set()), (method, path)
