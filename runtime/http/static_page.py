"""A page of static files of ours, under a content policy that allows nothing from elsewhere."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import FileResponse

from schemas.errors import NotFoundError

_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
"""Pictures may come from any https address, since a catalogue's pictures lie where the shop keeps them."""


def static_page(folder: Path, *, path: str, assets: str) -> APIRouter:
    """Routes that serve the folder's `index.html` at `path` and its other files below `assets`."""
    # Names that are not in the folder are not looked for on the disk.
    known = {each.name: each for each in folder.iterdir() if each.suffix in _MEDIA_TYPES}
    router = APIRouter(include_in_schema=False)

    @router.get(path)
    async def page() -> FileResponse:
        return FileResponse(folder / "index.html", media_type="text/html", headers=_HEADERS)

    @router.get(assets + "/{name}")
    async def asset(name: str) -> FileResponse:
        if name not in known:
            raise NotFoundError("there is no such file")
        return FileResponse(known[name], media_type=_MEDIA_TYPES[known[name].suffix], headers=_HEADERS)

    return router
