"""The HTTP server of the embedded system: uvicorn on the running loop, its signals left to the launcher."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from schemas.errors import ConfigurationError


class EmbeddedServer:
    """Listens at once when it is made, so that a taken port is known before anything else starts; serves after `start`."""

    def __init__(self, *, host: str, port: int) -> None:
        """Take the address; port 0 takes any free one.

        Raises:
            ConfigurationError: something else listens there, or the address is not this machine's.
        """
        try:
            self._listener = socket.create_server((host, port), reuse_port=False, backlog=512)
        except OSError as error:
            msg = f"cannot listen on {host}:{port}: {error.strerror}. Choose another with --port (0: any free one)"
            raise ConfigurationError(msg) from error
        self.host, self.port = self._listener.getsockname()[:2]
        self._server: _SignalFreeServer | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - compared, not listened on
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def start(self, app: ASGIApp, *, grace_s: int) -> None:
        """Serve the application, its lifespan included."""
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on",
            timeout_graceful_shutdown=grace_s,
        )
        self._server = _SignalFreeServer(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]), name="http")
        await self._server.serving.wait()

    async def stop(self) -> None:
        """Finish running requests and stop listening."""
        if self._server is not None:
            self._server.should_exit = True
        if self._task is not None:
            await self._task
        self.close()

    def close(self) -> None:
        """Let the address go; a second call does nothing."""
        self._listener.close()


class _SignalFreeServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()
        """Set once requests are served, or once it is clear that they never will be."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as usual, then say so."""
        try:
            await super().startup(sockets=sockets)
        finally:
            self.serving.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the launcher turns them into an orderly stop of everything."""
        yield
