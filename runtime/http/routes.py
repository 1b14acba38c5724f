"""Which row of the table of routes a request comes to."""

from __future__ import annotations

import re
from typing import Final

from starlette.routing import compile_path
from starlette.types import Scope

from schemas.api.routes import ROUTES, UNKNOWN, Route

_PATTERNS: Final[tuple[tuple[str, re.Pattern[str], Route], ...]] = tuple(
    (method, compile_path(path)[0], route) for (method, path), route in ROUTES.items() if "{" in path
)


def route_of(method: str, path: str) -> Route:
    """What a request counts as."""
    return ROUTES.get((method, path)) or _by_pattern(method, path)


def needed(scope: Scope) -> Route:
    """The row whose roles a request needs: what only asks for the head of an answer needs what the answer does."""
    return route_of("GET" if scope["method"] == "HEAD" else scope["method"], scope["path"])


def _by_pattern(method: str, path: str) -> Route:
    return next((route for verb, pattern, route in _PATTERNS if verb == method and pattern.match(path)), UNKNOWN)
