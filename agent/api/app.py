"""The chat API: its routes over a process of the agent."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from fastapi import FastAPI

from agent.api import chat, operations, orders
from agent.api.context import AgentContext
from agent.metrics import AgentMetrics
from agent.process import AgentProcess
from agent.settings import AgentHttpSettings
from runtime.admission.bounds import Bound
from runtime.admission.middleware import Doors
from runtime.application import Bounds, Face, create_application
from runtime.http.middleware import CUSTOMER_HEADER, REQUEST_ID_HEADER
from runtime.http.routes import static_page
from runtime.rights.customers import Customers
from schemas.api.routes import RouteClass
from schemas.identity import TenantId

_FACE: Final = Face(
    "ferroflux chat",
    "Orders by chat over a live catalogue. Prices, stock and totals are the catalogue's; nothing is submitted before a "
    "person confirms the order that was shown. Every failure is problem details (RFC 9457).",
    openapi_url="/chat/openapi.json",  # beside search, which has /openapi.json
    cors_methods=("DELETE", "GET", "POST"),
    cors_headers=(
        "Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", CUSTOMER_HEADER, REQUEST_ID_HEADER,
    ),
)  # fmt: skip

_PAGE: Final = static_page(Path(__file__).resolve().parents[1] / "page", path="/chat", assets="/chat/assets")

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

    `doors` bound what it holds, together with what else a launcher serves; by default they are its own.
    """
    doors = doors or Doors({}, metrics.admission)
    doors.bound(RouteClass.CHAT, Bound(most=http.max_in_flight))
    app = create_application(
        _FACE,
        process,
        [chat.router, orders.router, operations.router, *([_PAGE] if http.page else [])],
        settings=http,
        bounds=Bounds(doors, http.max_body_bytes, {}),
        metrics=metrics,
        has_tenant=has_tenant,
    )
    app.state.context = AgentContext(process, http, Customers(http.customers), metrics)
    return app
