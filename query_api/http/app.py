"""The FastAPI application over a worker: routes, middleware, problem details and the worker's life."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from query_api.http import items, language, operations, page, search
from query_api.http.context import ApiContext
from query_api.http.metrics import ApiMetrics
from query_api.http.openapi import install_openapi
from query_api.settings import HttpSettings
from query_api.worker import Worker
from runtime.admission.callers import Callers
from runtime.admission.middleware import AdmissionMiddleware, Doors
from runtime.http.body_gate import BodyBounds, BodyGateMiddleware
from runtime.http.middleware import REQUEST_ID_HEADER, RequestContextMiddleware
from runtime.http.problems import install_problem_handlers
from runtime.rights.gate import RoleGateMiddleware, require_declared_roles
from runtime.rights.keys import Access
from runtime.rights.openness import OpenGuardMiddleware

_DESCRIPTION = (
    "Search over live catalogues: a warehouse change is visible within a second. Every failure is problem details "
    "(RFC 9457) with a stable `code` and a `request_id`."
)


def create_app(
    worker: Worker,
    http: HttpSettings,
    metrics: ApiMetrics,
    doors: Doors,
    *,
    larger_bodies: Mapping[str, int] | None = None,
) -> FastAPI:
    """The application; it starts the worker when it starts and stops it when it ends. A route without a declared role ends the start.

    `doors` bound what it holds; `larger_bodies` are the paths of routes that a launcher adds and that take more bytes than
    searches do.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        require_declared_roles(app)  # again, for what a launcher has added
        await worker.start()
        try:
            yield
        finally:
            await worker.stop()

    app = FastAPI(
        title="ferroflux search",
        version=version("ferroflux"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # the framework's pages load scripts from elsewhere; the document is at /openapi.json
        redoc_url=None,
        redirect_slashes=False,
    )
    access = Access.of(http)
    app.state.context = ApiContext(worker, http, access, metrics, doors)
    app.include_router(search.router)
    app.include_router(language.router)
    app.include_router(items.router)
    app.include_router(operations.router)
    if http.page:
        app.include_router(page.router)
    install_problem_handlers(app)
    install_openapi(app)
    require_declared_roles(app)
    # From inside out: who has a place, whose body is within its bounds, whose key is good for the route, who is called without keys.
    app.add_middleware(AdmissionMiddleware, doors=doors, callers=Callers(access, worker.catalogue.has))
    app.add_middleware(BodyGateMiddleware, access=access, bounds=BodyBounds(http.max_body_bytes, larger_bodies or {}))
    app.add_middleware(RoleGateMiddleware, access=access)
    app.add_middleware(OpenGuardMiddleware, settings=http)
    if http.cors_origins:  # outside the gate: a page may read why it was refused
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(http.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", REQUEST_ID_HEADER],
            expose_headers=[REQUEST_ID_HEADER, "Retry-After"],
            max_age=600,
        )
    app.add_middleware(RequestContextMiddleware, metrics=metrics)  # added last: outermost
    return app
