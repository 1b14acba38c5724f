"""The replica's own HTTP port: /healthz (the loop turns), /readyz (whole and following), /metrics."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def operations_app(not_ready: Callable[[], str | None], registry: CollectorRegistry) -> Starlette:
    """The three endpoints. `not_ready` gives what is waited for, None when ready."""

    async def healthz(_request: Request) -> Response:
        # Answering is the health: this runs on the loop that tails, and a tailer that ends ends the process.
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        reason = not_ready()
        if reason is None:
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "not_ready", "waiting_for": reason}, status_code=503)

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


class OperationsServer(uvicorn.Server):
    """Uvicorn beside other work on one loop: the process's signals are its composition root's business."""

    def __init__(self, app: Starlette, *, host: str, port: int) -> None:
        super().__init__(uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, lifespan="off"))

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signal handlers as they are."""
        yield

    def request_stop(self) -> None:
        """Let `serve` return after the requests that run."""
        self.should_exit = True
