"""Every route of every application of ours has a bound, or is named as exempt."""

from collections.abc import Iterator
from unittest.mock import Mock

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount

from ferroflux.embedded.intake.held import held_router
from ferroflux.embedded.intake.http import changes_router
from ferroflux.operations.routes import operations_router
from indexer.process.app import http_app
from query_api.replica.bootstrap import operations_app
from runtime.http.routes import route_of
from schemas.api.routes import ROUTES, UNKNOWN, RouteClass, TenantIn
from schemas.identity import TenantId
from tests.support.agent.serving import Serving
from tests.unit.query_api.app_under_test import Stores


def search_of_up() -> FastAPI:
    app = Stores().app()
    app.include_router(changes_router(Mock(), TenantId("norte")))
    app.include_router(held_router(Mock()))
    app.include_router(operations_router(Mock(), Mock()))
    return app


def served(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        included = getattr(route, "original_router", None)  # how FastAPI keeps a router that was included
        if included is not None:
            yield from served(included.routes)
            continue
        assert not isinstance(route, Mount), f"a mount hides its routes: {route}"
        for method in sorted((getattr(route, "methods", None) or set()) - {"HEAD"}):
            yield method, route.path  # type: ignore[attr-defined]


@pytest.fixture
def routes(tmp_path) -> set[tuple[str, str]]:
    every = [search_of_up(), Serving(tmp_path).app(), http_app(readiness=Mock(), registry=Mock(), refresh=Mock())]
    every.append(operations_app(Mock(), Mock()))
    return {one for app in every for one in served(app.routes)}


def test_every_route_is_in_the_table_and_every_row_of_it_is_a_route(routes) -> None:
    assert len(routes) > 30
    assert sorted(routes - ROUTES.keys()) == []
    assert sorted(ROUTES.keys() - routes) == [("GET", "/indexer/{rest:path}")]  # the mount of `ferroflux up`


def test_nothing_that_is_not_health_metrics_or_a_static_file_is_exempt() -> None:
    exempt = {path for (_, path), route in ROUTES.items() if route.kind is RouteClass.EXEMPT}
    assert not [path for path in exempt if path.startswith("/v1")]


def test_a_route_that_names_a_tenant_is_shared_by_tenant() -> None:
    described = {**search_of_up().openapi()["paths"]}
    for path, methods in described.items():
        for method, operation in methods.items():
            named = any(one["name"] == "tenant" and one["required"] for one in operation.get("parameters", ()))
            if named:
                assert route_of(method.upper(), path).tenant is TenantIn.QUERY, (method, path)


@pytest.mark.parametrize(
    ("method", "path", "kind", "template"),
    [
        ("POST", "/v1/search", RouteClass.SEARCH, "/v1/search"),
        ("GET", "/v1/items/A/B 1/similar", RouteClass.SEARCH, "/v1/items/{sku:path}/similar"),
        ("GET", "/v1/items/A/B 1", RouteClass.LOOKUP, "/v1/items/{sku:path}"),
        ("GET", "/v1/orders/01234567", RouteClass.LOOKUP, "/v1/orders/{order}"),
        ("GET", "/indexer/metrics", RouteClass.EXEMPT, "/indexer/{rest:path}"),
    ],
)
def test_a_path_counts_as_its_route(method, path, kind, template) -> None:
    found = route_of(method, path)
    assert (found.kind, found.path) == (kind, template)


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("PATCH", "/v1/search")])
def test_what_no_application_has_is_bounded_too(method, path) -> None:
    assert route_of(method, path) is UNKNOWN
