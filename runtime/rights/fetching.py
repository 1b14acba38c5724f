"""What a caller of the API may have this server fetch: nothing that the operator has not listed.

Whoever can name an address that a server then opens can look into the network behind it (server-side request forgery). So a
location that comes by HTTP is checked here before anything is opened, without asking anyone: a URL's scheme and host, letter
by letter, against what the settings list, a folder against the folders that they list. There are no patterns: only what
is listed is reached, so neither an address of a private network, in whatever notation, nor a name that resolves to one gets
by, unless the operator lists just that. What settings and the command line name themselves is not checked: it is the
operator's own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from schemas.errors import InvalidRequestError

_URL = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[A-Za-z0-9._-]{1,253}(?::\d{1,5})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?"
)
_LONGEST: Final = 2_000
_HOST = re.compile(r"[a-z0-9._-]+(?::\d{1,5})?")
_NEVER: Final = frozenset({"file", "local"})
"""Schemes of this machine's own files, for which there are folders."""


class FetchSettings(BaseModel):
    """What callers of the API may have fetched, as the model of a generation. Nothing by default but what is configured anyway."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schemes: tuple[str, ...] = Field(
        ("https", "s3", "gs", "abfs", "az"),
        description="Schemes of URLs that a caller of the API may name (`ferroflux up`: a generation's model); the host must be listed, too.",
    )
    hosts: tuple[str, ...] = Field(
        (),
        description="Hosts of such URLs, letter by letter, with `:port` where it is not the scheme's own; of an object store "
        "its bucket. A listed host may be in a private network. Redirects are not followed. None: no URL.",
    )
    folders: tuple[Path, ...] = Field(
        (), description="Folders of this machine below which a caller of the API may name one; none: no folder."
    )

    @field_validator("schemes")
    @classmethod
    def _schemes_are_remote(cls, schemes: tuple[str, ...]) -> tuple[str, ...]:
        if _NEVER.intersection(map(str.lower, schemes)):
            raise ValueError("a scheme of local files cannot be listed: list folders")
        return tuple(map(str.lower, schemes))

    @field_validator("hosts")
    @classmethod
    def _hosts_are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        lowered = tuple(map(str.lower, hosts))
        for host in lowered:
            if not _HOST.fullmatch(host):
                raise ValueError(
                    f"{host[:80]!r} is no host: give a name or IPv4 address, with `:port` where needed, and no pattern"
                )
        return lowered

    @field_validator("folders")
    @classmethod
    def _folders_are_whole(cls, folders: tuple[Path, ...]) -> tuple[Path, ...]:
        if not all(folder.is_absolute() for folder in folders):
            raise ValueError("give folders by their whole path")
        return folders


def require_fetchable(location: str, allowed: FetchSettings, *, what: str) -> None:
    """Check a URL or a folder that came by the API. `what` names it in the message. Pure.

    Raises:
        InvalidRequestError: it is not listed; the message names the setting.
    """
    if "://" in location or "::" in location:
        _require_listed_url(location, allowed, what)
    elif not _is_below(Path(location), allowed):
        raise InvalidRequestError(
            f"{what} names a folder of the server, which callers may do only below what FERROFLUX_FETCH__FOLDERS lists"
        )


def require_resolved_below(folder: Path, allowed: FetchSettings, *, what: str) -> None:
    """Check where a folder that was let through leads once its links are followed. Touches the disk; nothing is read yet.

    Raises:
        InvalidRequestError: it leads out of what is listed.
    """
    real = FetchSettings(folders=tuple(each.resolve() for each in allowed.folders))
    if not _is_below(folder.resolve(), real):
        raise InvalidRequestError(f"{what} leads out of the folders that FERROFLUX_FETCH__FOLDERS lists")


def _require_listed_url(url: str, allowed: FetchSettings, what: str) -> None:
    # One URL in plain form: libraries disagree about what an odd one means, and chain several where they find `::`.
    if len(url) > _LONGEST or not _URL.fullmatch(url) or "::" in url:
        raise InvalidRequestError(
            f"{what} is no plain URL (scheme://host/path, without user, password, query and blanks), which is all that callers may name"
        )
    parts = urlsplit(url)
    if any(unquote(segment) in (".", "..") for segment in parts.path.split("/")):
        raise InvalidRequestError(f"{what} has a path with `.` or `..` in it: name the folder itself")
    if parts.scheme not in allowed.schemes or parts.scheme in _NEVER:
        raise InvalidRequestError(
            f"{what} has the scheme {parts.scheme!r}, which FERROFLUX_FETCH__SCHEMES does not list: {', '.join(allowed.schemes) or 'none'}"
        )
    if parts.netloc.lower() not in allowed.hosts:
        raise InvalidRequestError(
            f"{what} names the host {parts.netloc!r}, which FERROFLUX_FETCH__HOSTS does not list: add it there, where callers of the API may have it fetched"
        )


def _is_below(folder: Path, allowed: FetchSettings) -> bool:
    return (
        folder.is_absolute()
        and ".." not in folder.parts
        and any(folder.is_relative_to(each) for each in allowed.folders)
    )
