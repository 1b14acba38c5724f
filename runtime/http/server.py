"""HTTP servers, on uvicorn: beside other work on one event loop, its end never unseen; or a process of workers of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.supervisors import Multiprocess

from runtime.event_loop import ProcessEnd, serve_until_signal
from runtime.observability.metrics import MULTIPROCESS_FOLDER
from schemas.errors import ConfigurationError, FatalError

log = structlog.get_logger(__name__)

_BACKLOG = 512


class HttpServerEndedError(FatalError):
    """The HTTP server ended though nobody stopped it, so nobody can reach the process. The log has its reason; start it again."""

    code = "http_server_ended"


class HttpServer:
    """One address and one application. `serve` is its whole life, for a supervisor, which asks with `ask_to_end`."""

    def __init__(self, *, host: str, port: int, remedy: str) -> None:
        """Keep the address; port 0 is any free one. `remedy` says how to choose another where it cannot be had."""
        self.host = host
        self.port = port
        """The port that is listened on; before `listen`, the one that was asked for."""
        self.serving = asyncio.Event()
        """Set once requests are served, or once it is clear that they never will be."""
        self._remedy = remedy
        self._listener: socket.socket | None = None
        self._server: _SignalFreeServer | None = None
        self._asked = False

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - compared, not listened on
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def listen(self) -> socket.socket:
        """Take the address, before anything else starts.

        Raises:
            ConfigurationError: something else listens there, or the address is not this machine's.
        """
        try:
            self._listener = socket.create_server((self.host, self.port), reuse_port=False, backlog=_BACKLOG)
        except OSError as error:
            sentence = f"cannot listen on {self.host}:{self.port}: {error.strerror}; {self._remedy}"
            raise ConfigurationError(sentence) from error
        self.host, self.port = self._listener.getsockname()[:2]
        return self._listener

    async def serve(self, app: ASGIApp, *, lifespan: bool = False, grace_s: int | None = None) -> None:
        """Serve until it is asked to end, then finish the requests that run. `listen` has taken the address, or is called here.

        Raises:
            ConfigurationError: as `listen`.
            HttpServerEndedError: it ended for another reason.
        """
        listener = self._listener or self.listen()
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="on" if lifespan else "off",
            timeout_graceful_shutdown=grace_s,
        )
        self._server = _SignalFreeServer(config, self.serving)
        try:
            await self._server.serve(sockets=[listener])
        except (Exception, SystemExit) as error:  # uvicorn exits where the application's lifespan cannot start
            log.exception("http server failed", url=self.url)
            raise HttpServerEndedError from error
        finally:
            self.serving.set()
            self.close()
        if not self._asked:
            raise HttpServerEndedError

    def ask_to_end(self) -> None:
        """Let `serve` return when the requests that run are answered."""
        self._asked = True
        if self._server is not None:
            self._server.should_exit = True

    def close(self) -> None:
        """Let the address go; a second call does nothing."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None


class _ServedAt(Protocol):
    """An address, and the seconds that running requests get at a stop."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def shutdown_s(self) -> int: ...


def serve_workers(
    app: Callable[[], ASGIApp], at: _ServedAt, workers: int, end: ProcessEnd, *, name: str, answers_within_s: int = 5
) -> None:
    """Serve until SIGTERM or SIGINT: in this process, or in several that share the port and their metrics.

    `app` makes each worker's application; with several it must be a module's function. A worker that does not answer its
    supervisor in `answers_within_s` is replaced; `name` tells the metrics' folder from others.

    Raises:
        FatalError: the one worker's background task failed for good.
    """
    config = uvicorn.Config(
        app,
        factory=True,
        host=at.host,
        port=at.port,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=at.shutdown_s,
        timeout_worker_healthcheck=answers_within_s,
    )
    if workers == 1:
        serve_until_signal(config, end)
        return
    folder = Path(tempfile.mkdtemp(prefix=f"ferroflux-{name}-metrics-"))
    # The library reads this variable as it is imported: the workers are new processes and find it set.
    os.environ[MULTIPROCESS_FOLDER] = str(folder)
    try:
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    finally:
        del os.environ[MULTIPROCESS_FOLDER]
        shutil.rmtree(folder, ignore_errors=True)


class _SignalFreeServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, serving: asyncio.Event) -> None:
        super().__init__(config)
        self._serving = serving

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start as usual, then say so."""
        try:
            await super().startup(sockets=sockets)
        finally:
            self._serving.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the composition root turns them into an orderly stop of everything."""
        yield
