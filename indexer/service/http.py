"""The indexer's HTTP face on one port: `/healthz` (alive), `/readyz` (does its work, with reasons) and `/metrics`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

import uvicorn
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from indexer.service.readiness import Readiness
from schemas.errors import ConfigurationError


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
        return JSONResponse({"ready": answer.ready, **asdict(answer)}, status_code=200 if answer.ready else 503)

    async def metrics(_: Request) -> Response:
        await refresh()
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)])


class HttpServer:
    """Serves the application on the running event loop until it is stopped; signals stay with the process's owner."""

    def __init__(self, app: Starlette, *, host: str, port: int) -> None:
        self._address = (host, port)
        self._server = _QuietServer(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        self._task: asyncio.Task[None] | None = None
        self.port = port
        """The port that is listened on; before `start`, the one that was asked for."""

    async def start(self) -> None:
        """Listen. Port 0 takes any free one.

        Raises:
            ConfigurationError: the address cannot be had.
        """
        try:
            listener = socket.create_server(self._address, reuse_port=False)
        except OSError as error:
            host, port = self._address
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror}; choose another http.port"
            ) from error
        self.port = listener.getsockname()[1]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def stop(self) -> None:
        """Finish running requests and stop listening."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task


class _QuietServer(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the composition root turns them into a graceful stop of everything."""
        yield
