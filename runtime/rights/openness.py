"""What guards a process that asks for no key: where it listens, by which name it is called, and which pages may change something.

A browser on the same machine reaches a loopback port too. A page that it shows may send requests there (`Origin` tells), and a
page whose name is made to point at 127.0.0.1 may read the answers as well (DNS rebinding; `Host` tells).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from runtime.http.problems import ForeignOriginError, HostNotAllowedError, of_ferroflux
from runtime.rights.body_gate import CLOSE, may_carry_body
from runtime.rights.settings import AccessSettings
from schemas.errors import ConfigurationError, FerrofluxError

log = structlog.get_logger(__name__)

_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE: Final = frozenset({"same-origin", "none"})

_ASKED_BY_ADDRESS: Final = frozenset(
    {"/healthz", "/readyz", "/metrics", "/indexer/healthz", "/indexer/readyz", "/indexer/metrics"}
)
"""Probes and scrapers call a pod by its address."""


class OpenGuardMiddleware:
    """Stands before the gate of roles, where there are no keys for that to look at."""

    def __init__(self, app: ASGIApp, settings: AccessSettings) -> None:
        self._app = app
        self._active = settings.is_open
        self._hosts = frozenset(map(_plain, (*_LOOPBACK, settings.host, *settings.allowed_hosts)))
        self._by_address = settings.insecure_open
        self._origins = frozenset(map(_origin, settings.cors_origins))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or not self._active or scope["path"] in _ASKED_BY_ADDRESS:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            if scope["method"] not in _READING:
                self._check_origin(headers)
        except FerrofluxError as error:
            response = await of_ferroflux(Request(scope), error)
            if may_carry_body(scope):
                response.headers.update(CLOSE)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check_host(self, headers: Headers) -> None:
        named = headers.getlist("Host")
        host = _host_of(named[0]) if len(named) == 1 else ""
        if host in self._hosts:
            return
        # Who opened the process to others is called by addresses that nobody can list; a rebound page has a name.
        if not (self._by_address and _is_address(host)):
            raise HostNotAllowedError

    def _check_origin(self, headers: Headers) -> None:
        origin = headers.get("Origin")
        if origin is None:
            if headers.get("Sec-Fetch-Site", "none").lower() not in _OWN_SITE:
                raise ForeignOriginError
        elif _origin(origin) not in self._origins and _authority(origin) != headers.get("Host", "").lower():
            raise ForeignOriginError


def require_guarded(settings: AccessSettings, prefix: str) -> None:
    """Refuse to listen where others reach the process, if no key is asked for; `prefix` is that of the settings' variables.

    Raises:
        ConfigurationError: that is what the settings say.
    """
    if settings.is_open and not settings.insecure_open and not is_loopback(settings.host):
        raise ConfigurationError(
            f"no keys are set, and {settings.host or 'every address'} can be reached from elsewhere: set {prefix}API_KEYS "
            f"(and {prefix}ADMIN_KEYS), listen on 127.0.0.1, or say --insecure-open (or {prefix}INSECURE_OPEN=true) to let "
            "anybody read and change everything"
        )


def openness(settings: AccessSettings, prefix: str) -> str:
    """That a process asks for no key, as a sentence; empty where it does."""
    if not settings.is_open:
        return ""
    who = "programs on this machine" if is_loopback(settings.host) else "whoever reaches this address"
    return f"open: no keys are set, so {who} may read and change everything; keys are set by {prefix}API_KEYS"


def bareness(settings: AccessSettings, prefix: str) -> str:
    """That keys are written without roles, as a sentence; empty where none is."""
    if not settings.bare_tenants:
        return ""
    return (
        f"keys without roles may search and chat, and nothing else (tenants: {', '.join(settings.bare_tenants)}): grant more with "
        f'{prefix}API_KEYS=\'{{"TENANT": [{{"key": "…", "roles": ["search", "chat", "orders", "write", "operate"]}}]}}\''
    )


def announce(settings: AccessSettings, prefix: str) -> None:
    """Say, before anything else, what an operator should know of who may call.

    Raises:
        ConfigurationError: nobody guards what others can reach.
    """
    require_guarded(settings, prefix)
    for sentence in filter(None, (openness(settings, prefix), bareness(settings, prefix))):
        log.warning(sentence)


def is_loopback(host: str) -> bool:
    """Whether an address to listen on, or every address of a name, is reached from this machine alone."""
    return bool(addresses := list(_addresses(host))) and all(map(_loops, addresses))


def _addresses(host: str) -> Iterable[str]:
    if not host:
        return ()
    if _is_address(host):
        return (host,)
    try:
        return [str(found[4][0]).partition("%")[0] for found in socket.getaddrinfo(host, None)]
    except OSError:
        return ()


def _loops(address: str) -> bool:
    found = ipaddress.ip_address(address)
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _host_of(header: str) -> str:
    """The name or address of a `Host` header, without the port; empty where it is none."""
    try:
        parts = urlsplit(f"//{header}")
        named = parts.hostname if parts.port is None or parts.port >= 0 else None
    except ValueError:  # brackets that do not close, a port that is none
        return ""
    return _plain(named or "") if not set(header) & set("/?#@\\") else ""


def _origin(origin: str) -> str:
    return origin.rstrip("/").lower()


def _authority(origin: str) -> str:
    """Host and port of an origin; empty for `null`."""
    return _origin(origin).partition("://")[2]
