"""The one place where roles are enforced: before the routes, by the table of routes, so that no route can forget it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from runtime.http.problems import MissingRoleError, of_ferroflux
from runtime.http.routes import needed
from runtime.rights.body_gate import CLOSE, may_carry_body
from runtime.rights.keys import Access
from schemas.api.routes import ROUTES, UNKNOWN
from schemas.errors import ConfigurationError, FerrofluxError


class RoleGateMiddleware:
    """Refuses a request whose key does not hold a role of its route, before a byte of its body is read.

    Which tenant the request is about is not known yet where a body says it: the route checks that, with the same roles.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or self._access.is_open:
            await self._app(scope, receive, send)
            return
        route = needed(scope)
        try:
            if route is not UNKNOWN:
                self._access.enter(scope)
            elif _is_served(scope):
                raise MissingRoleError(
                    "this path is in no table of routes, so no key opens it; write it as the reference does"
                )
        except FerrofluxError as error:
            scope.setdefault("state", {})["route"] = route.path
            response = await of_ferroflux(Request(scope), error)
            if may_carry_body(scope):
                response.headers.update(CLOSE)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_served(scope: Scope) -> bool:
    """Whether a route would answer what the table does not know: a spelling that the two read differently."""
    return any(route.matches(scope)[0] is Match.FULL for route in scope["app"].routes)


def require_declared_roles(app: Starlette) -> None:
    """Refuse an application with a route that the table does not have: nobody has said who may call it.

    Raises:
        ConfigurationError: there is one.
    """
    undeclared = sorted(f"{method} {path}" for method, path in served(app.routes) if (method, path) not in ROUTES)
    if undeclared:
        raise ConfigurationError(
            f"no role is declared for {', '.join(undeclared)}: add the route to schemas/api/routes.py"
        )


def served(routes: Sequence[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Every method and path template of an application; what is mounted counts as one route that reads."""
    for route in routes:
        included = getattr(route, "original_router", None)  # how FastAPI keeps a router that was included
        if included is not None:
            prefix = route.include_context.prefix  # type: ignore[attr-defined]
            yield from ((method, f"{prefix}{path}") for method, path in served(included.routes))
        elif isinstance(route, Mount):
            yield "GET", f"{route.path}/{{rest:path}}"
        else:
            for method in sorted((getattr(route, "methods", None) or {"GET"}) - {"HEAD"}):
                yield method, getattr(route, "path", str(route))
