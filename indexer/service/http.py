"""The indexer's HTTP face on one port: `/healthz` (alive), `/readyz` (does its work, with reasons) and `/metrics`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict

from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from indexer.service.readiness import Readiness
from runtime.rights.gate import require_declared_roles


def http_app(
    *,
    readiness: Callable[[], Awaitable[Readiness]],
    registry: Collector,
    refresh: Callable[[], Awaitable[None]],
) -> Starlette:
    """The ASGI application. `refresh` brings gauges up to date before they are read."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        answer = await readiness()
        return JSONResponse(
            {"ready": answer.ready, **asdict(answer)},
            status_code=200 if answer.ready else 503,
        )

    async def metrics(_: Request) -> Response:
        await refresh()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    app = Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])
    require_declared_roles(app)
    return app
