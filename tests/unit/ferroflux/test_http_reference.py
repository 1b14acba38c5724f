"""The page of the HTTP API names every route that is served beside the chat."""

from pathlib import Path
from unittest.mock import Mock

from ferroflux.embedded.intake.held import held_router
from ferroflux.embedded.intake.http import changes_router
from ferroflux.operations.routes import operations_router
from schemas.identity import TenantId
from tests.unit.query_api.app_under_test import Stores

PAGE = Path(__file__).resolve().parents[3] / "docs/reference/http-api.md"


def test_every_route_is_on_the_page() -> None:
    app = Stores().app()
    app.include_router(changes_router(Mock(), TenantId("norte")))
    app.include_router(held_router(Mock()))
    app.include_router(operations_router(Mock(), Mock()))
    served = app.openapi()["paths"]
    page = PAGE.read_text(encoding="utf-8")
    assert "/v1/search" in served
    assert "/v1/replays" in served
    assert "/v1/generations" in served
    assert [path for path in served if not any(f"{mark}{path}{end}" in page for mark in " `" for end in "`?")] == []
