"""The replica's own HTTP port: /healthz (the loop turns), /readyz (whole and following), /metrics."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Generator

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from schemas.errors import ConfigurationError


def operations_app(not_ready: Callable[[], str | None], registry: Collector) -> Starlette:
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


class OperationsServer:
    """Serves an application beside other work on one event loop; the signals stay with the composition root."""

    def __init__(self, app: Starlette, *, host: str, port: int) -> None:
        self._address = (host, port)
        self._server = _SignalFreeServer(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        self._serving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen; port 0 takes any free one.

        Raises:
            ConfigurationError: the address cannot be had.
        """
        try:
            listener = socket.create_server(self._address)
        except OSError as error:
            host, port = self._address
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror}; set FERROFLUX_HTTP__PORT to a free port"
            ) from error
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def stop(self) -> None:
        """Finish the requests that run and stop listening."""
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving


class _SignalFreeServer(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield
