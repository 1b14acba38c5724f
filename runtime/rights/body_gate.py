"""The way of a body into the process: after its sender's key was found good, within its bytes and within its time.

It stands before the routes, so that no route can forget it: whatever reads a body reads it through here. Which tenant
the body is about is not known yet; a route checks that where it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.http.problems import of_ferroflux, of_http
from runtime.rights.keys import Access
from schemas.errors import FerrofluxError

_WITHOUT_BODY: Final = frozenset({"GET", "HEAD", "OPTIONS"})

CLOSE: Final = {"Connection": "close"}
"""What is left of a refused body is never read, so the connection cannot carry another request."""


@dataclass(frozen=True, slots=True)
class BodyBounds:
    """What a body may cost: bytes, and the time that its sender keeps us waiting for them."""

    max_bytes: int
    larger: Mapping[str, int] = field(default_factory=dict)
    """Paths that take more bytes than the others do, and how many."""
    grace_s: float = 10.0
    """Waiting that every body may cost: a phone that loses its network for a moment gets through."""
    least_bytes_per_s: int = 32 * 1024
    """What a sender must come to beyond that: 8 MiB are waited for at most four and a half minutes, one byte a second for ten."""

    def bytes_at(self, path: str) -> int:
        """The most bytes of a body that is sent to this path."""
        return max(self.max_bytes, self.larger.get(path, 0))


class BodyGateMiddleware:
    """Refuses a request with a body whose key opens no tenant before a byte of it is read; cuts 413 and 408."""

    def __init__(self, app: ASGIApp, access: Access, bounds: BodyBounds) -> None:
        self._app = app
        self._access = access
        self._bounds = bounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or not may_carry_body(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        body = _BoundedBody(receive, self._bounds, self._bounds.bytes_at(scope["path"]))
        try:
            self._access.admit(request.headers)
            body.announced(request.headers)
        except FerrofluxError as error:
            response = await of_ferroflux(request, error)
            response.headers.update(CLOSE)
            await response(scope, receive, send)
        except HTTPException as error:
            await (await of_http(request, error))(scope, receive, send)
        else:
            await self._app(scope, body.receive, send)


def may_carry_body(scope: Scope) -> bool:
    """Whether a request may come with a body."""
    headers = Headers(scope=scope)
    announced = headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers
    return scope["method"] not in _WITHOUT_BODY or announced


class _BoundedBody:
    """Receives one request's body. It raises what the framework's own readers let through to the problem handlers."""

    def __init__(self, receive: Receive, bounds: BodyBounds, max_bytes: int) -> None:
        self._receive = receive
        self._bounds = bounds
        self._max_bytes = max_bytes
        self._taken = 0
        self._waited_s = 0.0
        self._whole = False

    def announced(self, headers: Headers) -> None:
        """Hold the announced length against the bound; one that lies is cut when it is read.

        Raises:
            HTTPException: it is too long.
        """
        length = headers.get("Content-Length", "")
        if length.isdecimal() and (len(length) > len(str(self._max_bytes)) or int(length) > self._max_bytes):
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, headers=CLOSE)

    async def receive(self) -> Message:
        """The next message of the connection.

        Raises:
            HTTPException: the body is too long, or comes too slowly.
        """
        if self._whole:  # what comes now is the news that the caller has gone, which may take as long as it takes
            return await self._receive()
        message = await self._in_time()
        self._taken += len(message.get("body", b""))
        if self._taken > self._max_bytes:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, headers=CLOSE)
        self._whole = not message.get("more_body", False)
        return message

    async def _in_time(self) -> Message:
        # Only waiting counts: the time in which a route works on what it has is ours and not the sender's.
        clock = asyncio.get_running_loop().time
        began = clock()
        left = self._bounds.grace_s + self._taken / self._bounds.least_bytes_per_s - self._waited_s
        try:
            async with asyncio.timeout(left):
                return await self._receive()
        except TimeoutError as error:
            raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, headers=CLOSE) from error
        finally:
            self._waited_s += clock() - began
