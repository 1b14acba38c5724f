"""The FastAPI application of the agent: routes, middleware, problem details and the process' life."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from agent.api.context import AgentContext, InFlight
from agent.api.openapi import install_openapi
from agent.api.routes import chat, operations, orders, page
from agent.api.settings import AgentHttpSettings
from agent.observation.metrics import AgentMetrics
from agent.service.process import AgentProcess
from retrieval.serving.access import Access
from retrieval.serving.body_gate import BodyBounds, BodyGateMiddleware
from retrieval.serving.middleware import REQUEST_ID_HEADER, RequestContextMiddleware
from retrieval.serving.problems import install_problem_handlers

_DESCRIPTION = (
    "Orders by chat over a live catalogue. Prices, stock and totals are the catalogue's; nothing is submitted before a "
    "person confirms the order that was shown. Every failure is problem details (RFC 9457)."
)

PATHS = ("/v1/chat", "/v1/orders", "/chat")
"""What this application answers where it shares a port with search: these paths and all below them."""


def create_app(process: AgentProcess, http: AgentHttpSettings, metrics: AgentMetrics) -> FastAPI:
    """The application; it starts the process when it starts and stops it when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
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
    in_flight = InFlight(http.max_in_flight, metrics.in_flight)
    access = Access(http.api_keys)
    app.state.context = AgentContext(process, http, access, metrics, in_flight)
    app.include_router(chat.router)
    app.include_router(orders.router)
    app.include_router(operations.router)
    if http.page:
        app.include_router(page.router)
    install_problem_handlers(app)
    install_openapi(app)
    app.add_middleware(BodyGateMiddleware, access=access, bounds=BodyBounds(http.max_body_bytes))
    if http.cors_origins:  # outside the gate: a page may read why it was refused
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(http.cors_origins),
            allow_methods=["DELETE", "GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", REQUEST_ID_HEADER],
            expose_headers=[REQUEST_ID_HEADER],
            max_age=600,
        )
    app.add_middleware(RequestContextMiddleware, metrics=metrics)  # added last: outermost
    return app
