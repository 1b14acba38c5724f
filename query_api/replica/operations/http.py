"""The replica's own HTTP port: /healthz (the loop turns), /readyz (whole and following), /metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from runtime.rights.gate import require_declared_roles


def operations_app(
    not_ready: Callable[[], str | None], registry: Collector, *, degraded: Callable[[], Mapping[str, str]] = dict
) -> Starlette:
    """The three endpoints. `not_ready` gives what is waited for, None when ready; `degraded` what is wrong all the same."""

    async def healthz(_request: Request) -> Response:
        # Answering is the health: this runs on the loop that tails, and a tailer that fails for good ends the process.
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        reason = not_ready()
        if reason is None:
            wrong = dict(degraded())
            return JSONResponse({"status": "ready", "degraded": wrong} if wrong else {"status": "ready"})
        return JSONResponse({"status": "not_ready", "waiting_for": reason}, status_code=503)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    app = Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
    require_declared_roles(app)
    return app
