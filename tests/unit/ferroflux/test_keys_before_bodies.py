"""No route of any application of ours reads a body of somebody whose key it does not know."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest
from fastapi import FastAPI

from ferroflux.embedded.intake.http import changes_router
from ferroflux.operations.routes import operations_router
from schemas.identity import TenantId
from tests.support.agent.serving import Serving
from tests.unit.query_api.app_under_test import Stores

pytestmark = pytest.mark.slow

KEYS = {"norte": ["north-key-0123456789", {"key": "north-writer-0123456789", "roles": ["write"]}]}
WITH_BODY = {"DELETE", "PATCH", "POST", "PUT"}


def search_of_up() -> FastAPI:
    """The application that `ferroflux up` serves: search, and the routes that it adds."""
    app = Stores().app(http={"api_keys": KEYS})
    app.include_router(changes_router(Mock(), TenantId("norte")))
    app.include_router(operations_router(Mock(), Mock()))
    return app


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    found = [
        (method, path)
        for path, methods in app.openapi()["paths"].items()
        for method in map(str.upper, methods)
        if method in WITH_BODY
    ]
    assert found
    return found


@pytest.mark.parametrize(("headers", "status"), [({}, 401), ({"X-API-Key": "nobody's"}, 403)])
@pytest.mark.parametrize("application", ["search", "chat"])
async def test_every_route_with_a_body_asks_for_the_key_first(application, headers, status, tmp_path: Path) -> None:
    app = search_of_up() if application == "search" else Serving(tmp_path, api_keys=KEYS).app()
    read: list[bytes] = []

    async def body():
        read.append(b"{}")
        yield b"{}"

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        for method, path in routes_of(app):
            asked = headers | {"Content-Type": "application/json"}
            answer = await client.request(method, path, content=body(), headers=asked)
            assert (answer.status_code, read) == (status, []), f"{method} {path}: {answer.text}"


async def test_a_known_key_comes_to_the_route() -> None:
    transport = httpx.ASGITransport(search_of_up(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        headers = {"X-API-Key": "north-writer-0123456789", "Content-Type": "application/json"}
        for body, status in ((b"{", 422), (b'{"tenant":"sur","sku":"A","version":1,"fields":{"title":"x"}}', 403)):
            assert (await client.post("/v1/changes", content=body, headers=headers)).status_code == status
