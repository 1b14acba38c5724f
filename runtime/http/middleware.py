"""What every request gets, whatever its route: an id, security headers, a place in the metrics, and a caught defect."""

from __future__ import annotations

import re
import time
import uuid
from typing import Final, Protocol

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.http.problems import internal_problem

log = structlog.get_logger(__name__)

REQUEST_ID_HEADER: Final = "X-Request-Id"
CUSTOMER_HEADER: Final = "X-Customer-Token"

_USABLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
"""Set where a route has not set its own: the page has a wider content policy, its assets may be cached."""


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods that a label names; a server may let others through, made up by whoever sends them."""


class RequestMetrics(Protocol):
    """Where answers are counted."""

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one HTTP answer; status 0 is a connection that ended without one."""
        ...


class RequestContextMiddleware:
    """Outermost ASGI layer. A caller's usable request id is kept, so that a trace goes through; else one is made."""

    def __init__(self, app: ASGIApp, metrics: RequestMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        offered = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        identity = offered if _USABLE_REQUEST_ID.fullmatch(offered) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = identity
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = identity
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=identity):
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception:
                log.exception("request crashed", path=scope["path"])
                if status:  # the answer has begun: all that is left is to cut the connection
                    raise
                await internal_problem(Request(scope))(scope, receive, send_with_headers)
            finally:
                # The route's template, not the path: a path holds SKUs, and a label must have few values.
                refused_at = scope["state"].get("route", "unmatched")
                route = getattr(scope.get("route"), "path", refused_at)
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._metrics.answered(method, route, status, time.perf_counter() - started)
