"""Routes: which row of the table of routes a request comes to, and the routes of a page of static files of ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter
from starlette.responses import FileResponse, Response
from starlette.routing import compile_path
from starlette.types import Scope

from schemas.api.routes import ROUTES, UNKNOWN, Route
from schemas.errors import NotFoundError

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


_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
"""Pictures may come from any https address, since a catalogue's pictures lie where the shop keeps them."""


def static_page(folder: Path, *, path: str, assets: str, made: Mapping[str, str] = MappingProxyType({})) -> APIRouter:
    """Routes that serve the folder's `index.html` at `path` and its other files below `assets`, with those that are `made`, by name."""
    # Names that are not in the folder are not looked for on the disk.
    known = {each.name: each for each in folder.iterdir() if each.suffix in _MEDIA_TYPES}
    router = APIRouter(include_in_schema=False)

    @router.get(path)
    async def page() -> FileResponse:
        return FileResponse(folder / "index.html", media_type="text/html", headers=_HEADERS)

    @router.get(assets + "/{name}")
    async def asset(name: str) -> Response:
        if name in made:
            return Response(made[name], media_type=_MEDIA_TYPES[Path(name).suffix], headers=_HEADERS)
        if name not in known:
            raise NotFoundError("there is no such file")
        return FileResponse(known[name], media_type=_MEDIA_TYPES[known[name].suffix], headers=_HEADERS)

    return router
