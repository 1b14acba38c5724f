"""The chat page at `/chat`: static files of this package, under a content policy that allows nothing from elsewhere."""

from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.responses import FileResponse

from schemas.errors import NotFoundError

_FOLDER: Final = Path(__file__).resolve().parents[1] / "page"
_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
"""Pictures may come from any https address, since a catalogue's pictures lie where the shop keeps them."""

router = APIRouter(include_in_schema=False)


@router.get("/chat")
async def page() -> FileResponse:
    """The page itself."""
    return FileResponse(_FOLDER / "index.html", media_type="text/html", headers=_HEADERS)


@router.get("/chat/assets/{name}")
async def asset(name: str) -> FileResponse:
    """One of the page's own files; names that are not in the folder are not looked for on the disk."""
    known = {path.name: path for path in _FOLDER.iterdir() if path.suffix in _MEDIA_TYPES}
    if name not in known:
        raise NotFoundError("there is no such file")
    path = known[name]
    return FileResponse(path, media_type=_MEDIA_TYPES[path.suffix], headers=_HEADERS)
