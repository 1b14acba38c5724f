"""The HTTP application of every process of ours: routes, problem details, keys and roles, bounds, and the life of what answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware

from runtime.admission.callers import Callers
from runtime.admission.middleware import AdmissionMiddleware, Doors
from runtime.http.middleware import REQUEST_ID_HEADER, RequestContextMiddleware, RequestMetrics
from runtime.http.openapi import install_openapi
from runtime.http.problems import install_problem_handlers
from runtime.rights.body_gate import BodyBounds, BodyGateMiddleware
from runtime.rights.gate import RoleGateMiddleware, require_declared_roles
from runtime.rights.keys import Access
from runtime.rights.openness import OpenGuardMiddleware
from runtime.rights.settings import AccessSettings
from schemas.identity import TenantId


class Life(Protocol):
    """What answers requests: it starts before the first and stops after the last."""

    async def start(self) -> None:
        """Begin; the application serves when this returns."""
        ...

    async def stop(self) -> None:
        """End."""
        ...


@dataclass(frozen=True, slots=True)
class Face:
    """What an application shows of itself to who reads its description, and to pages of other origins."""

    title: str
    description: str
    openapi_url: str = "/openapi.json"
    tags: Sequence[dict[str, Any]] | None = None
    cors_methods: tuple[str, ...] = ("GET", "POST")
    cors_headers: tuple[str, ...] = ("Authorization", "Content-Type", "X-API-Key", REQUEST_ID_HEADER)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What requests may cost: places by class of route, and bytes of a body; `larger_bodies` are paths that take more."""

    doors: Doors
    max_body_bytes: int
    larger_bodies: Mapping[str, int]


def create_application(
    face: Face,
    life: Life,
    routers: Sequence[APIRouter],
    *,
    settings: AccessSettings,
    bounds: Bounds,
    metrics: RequestMetrics,
    has_tenant: Callable[[TenantId], bool],
) -> FastAPI:
    """The application. `has_tenant` tells tenants that there are from made-up ones where no keys do.

    A launcher may add routes to what it returns; handlers get the caller's rights as the dependency `CallerRights`.

    Raises:
        ConfigurationError: a route has no row in the table of routes, now or at the start.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        require_declared_roles(app)  # again, for what a launcher has added
        await life.start()
        try:
            yield
        finally:
            await life.stop()

    app = FastAPI(
        title=face.title,
        version=version("ferroflux"),
        description=face.description,
        lifespan=lifespan,
        openapi_url=face.openapi_url,
        docs_url=None,  # the framework's pages load scripts from elsewhere; the document is at `openapi_url`
        redoc_url=None,
        redirect_slashes=False,
    )
    access = app.state.access = Access.of(settings)
    for router in routers:
        app.include_router(router)
    install_problem_handlers(app)
    install_openapi(app, face.tags)
    require_declared_roles(app)
    # From inside out: who has a place, whose body is within its bounds, whose key is good for the route, who is called without keys.
    app.add_middleware(AdmissionMiddleware, doors=bounds.doors, callers=Callers(access, has_tenant))
    app.add_middleware(
        BodyGateMiddleware, access=access, bounds=BodyBounds(bounds.max_body_bytes, bounds.larger_bodies)
    )
    app.add_middleware(RoleGateMiddleware, access=access)
    app.add_middleware(OpenGuardMiddleware, settings=settings)
    if settings.cors_origins:  # outside the gate: a page may read why it was refused
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=list(face.cors_methods),
            allow_headers=list(face.cors_headers),
            expose_headers=[REQUEST_ID_HEADER, "Retry-After"],
            max_age=600,
        )
    app.add_middleware(RequestContextMiddleware, metrics=metrics)  # added last: outermost
    return app
