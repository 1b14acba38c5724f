"""The FastAPI application of the agent: routes, middleware, problem details and the process' life."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from agent.api.context import AgentContext
from agent.api.openapi import install_openapi
from agent.api.routes import chat, operations, orders, page
from agent.api.settings import AgentHttpSettings
from agent.observation.metrics import AgentMetrics
from agent.service.process import AgentProcess
from runtime.admission.bounds import Bound
from runtime.admission.callers import Callers
from runtime.admission.middleware import AdmissionMiddleware, Doors
from runtime.http.body_gate import BodyBounds, BodyGateMiddleware
from runtime.http.middleware import REQUEST_ID_HEADER, RequestContextMiddleware
from runtime.http.problems import install_problem_handlers
from runtime.http.routes import RouteClass
from runtime.rights.customers import Customers
from runtime.rights.gate import RoleGateMiddleware, require_declared_roles
from runtime.rights.keys import CUSTOMER_HEADER, Access
from runtime.rights.openness import OpenGuardMiddleware
from schemas.identity import TenantId

_DESCRIPTION = (
    "Orders by chat over a live catalogue. Prices, stock and totals are the catalogue's; nothing is submitted before a "
    "person confirms the order that was shown. Every failure is problem details (RFC 9457)."
)

PATHS = ("/v1/chat", "/v1/orders", "/chat")
"""What this application answers where it shares a port with search: these paths and all below them."""


def create_app(
    process: AgentProcess,
    http: AgentHttpSettings,
    metrics: AgentMetrics,
    *,
    doors: Doors | None = None,
    has_tenant: Callable[[TenantId], bool] = lambda _: True,
) -> FastAPI:
    """The application; it starts the process when it starts and stops it when it ends.

    `doors` bound what it holds, together with what else a launcher serves; by default they are its own. `has_tenant` tells
    tenants that there are from made-up ones where no keys do.
    """
    doors = doors or Doors({}, metrics.admission)
    doors.bound(RouteClass.CHAT, Bound(most=http.max_in_flight))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        require_declared_roles(app)  # again, for what a launcher has added
        await process.start()
        try:
            yield
        finally:
            await process.stop()

    app = FastAPI(
        title="ferroflux chat",
        version=version("ferroflux"),
        description=_DESCRIPTION,
        lifespan=lifespan,
        openapi_url="/chat/openapi.json",  # beside search, which has /openapi.json
        docs_url=None,  # the framework's pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    access = Access.of(http)
    app.state.context = AgentContext(process, http, access, Customers(http.customers), metrics)
    app.include_router(chat.router)
    app.include_router(orders.router)
    app.include_router(operations.router)
    if http.page:
        app.include_router(page.router)
    install_problem_handlers(app)
    install_openapi(app)
    require_declared_roles(app)
    # From inside out: who has a place, whose body is within its bounds, whose key is good for the route, who is called without keys.
    app.add_middleware(AdmissionMiddleware, doors=doors, callers=Callers(access, has_tenant))
    app.add_middleware(BodyGateMiddleware, access=access, bounds=BodyBounds(http.max_body_bytes))
    app.add_middleware(RoleGateMiddleware, access=access)
    app.add_middleware(OpenGuardMiddleware, settings=http)
    if http.cors_origins:  # outside the gate: a page may read why it was refused
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(http.cors_origins),
            allow_methods=["DELETE", "GET", "POST"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "X-API-Key",
                CUSTOMER_HEADER,
                REQUEST_ID_HEADER,
            ],
            expose_headers=[REQUEST_ID_HEADER, "Retry-After"],
            max_age=600,
        )
    app.add_middleware(RequestContextMiddleware, metrics=metrics)  # added last: outermost
    return app
