"""The search API: its routes over a worker, and the search page at `/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from query_api.http import items, language, operations, search
from query_api.http.context import ApiContext
from query_api.http.metrics import ApiMetrics
from query_api.settings import HttpSettings
from query_api.worker import Worker
from runtime.admission.middleware import Doors
from runtime.application import Bounds, Face, create_application
from runtime.http.routes import static_page

_FACE: Final = Face(
    "ferroflux search",
    "Search over live catalogues: a warehouse change is visible within a second. Every failure is problem details "
    "(RFC 9457) with a stable `code` and a `request_id`.",
    tags=[
        {"name": "search", "description": "Finding products."},
        {"name": "catalogue", "description": "Reading products and tenants."},
        {"name": "operations", "description": "State, health and metrics of the worker."},
    ],
)
_PAGE: Final = static_page(Path(__file__).resolve().parents[1] / "page", path="/", assets="/assets")


def create_app(
    worker: Worker,
    http: HttpSettings,
    metrics: ApiMetrics,
    doors: Doors,
    *,
    larger_bodies: Mapping[str, int] | None = None,
) -> FastAPI:
    """The application; it starts the worker when it starts and stops it when it ends.

    `doors` bound what it holds; `larger_bodies` are the paths of routes that a launcher adds and that take more bytes than
    searches do.
    """
    app = create_application(
        _FACE,
        worker,
        [search.router, language.router, items.router, operations.router, *([_PAGE] if http.page else [])],
        settings=http,
        bounds=Bounds(doors, http.max_body_bytes, larger_bodies or {}),
        metrics=metrics,
        has_tenant=worker.catalogue.has,
    )
    app.state.context = ApiContext(worker, http, metrics, doors)
    return app
