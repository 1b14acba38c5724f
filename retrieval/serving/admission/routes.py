"""Every route of every application of ours, with the class whose bound it shares.

A route that is not here is not served unbounded: it shares the bound of lookups, and a test fails until it is named. A class is what costs alike and is waited for alike. What may go on without a bound is named as exempt, for a reason: an
orchestrator that cannot ask a busy process whether it lives would kill it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from starlette.routing import compile_path


class RouteClass(StrEnum):
    """What costs alike."""

    SEARCH = "search"
    """Inference, or the vector store."""
    LOOKUP = "lookup"
    """Reads of the text replica or of a database."""
    CHAT = "chat"
    """Turns of a conversation, which take seconds."""
    INTAKE = "intake"
    """Change events, bounded by their bytes."""
    OPERATION = "operation"
    """What operators do; it may run for minutes."""
    EXEMPT = "exempt"
    """Health, metrics and static files."""


class TenantIn(StrEnum):
    """Where a request names its tenant."""

    QUERY = "query"
    BODY = "body"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Route:
    """What one method at one path counts as."""

    path: str
    kind: RouteClass
    tenant: TenantIn = TenantIn.NOWHERE


_SEARCH, _LOOKUP, _CHAT = RouteClass.SEARCH, RouteClass.LOOKUP, RouteClass.CHAT
_INTAKE, _OPERATION, _EXEMPT = RouteClass.INTAKE, RouteClass.OPERATION, RouteClass.EXEMPT
_QUERY, _BODY, _NOWHERE = TenantIn.QUERY, TenantIn.BODY, TenantIn.NOWHERE

_TABLE: Final[tuple[tuple[str, str, RouteClass, TenantIn], ...]] = (
    # search
    ("POST", "/v1/search", _SEARCH, _BODY),
    ("GET", "/v1/search", _SEARCH, _QUERY),
    ("GET", "/v1/items/{sku:path}/similar", _SEARCH, _QUERY),
    ("GET", "/v1/items/{sku:path}/complements", _LOOKUP, _QUERY),
    ("GET", "/v1/items/{sku:path}", _LOOKUP, _QUERY),
    ("POST", "/v1/analyze", _LOOKUP, _BODY),
    ("GET", "/v1/suggest", _LOOKUP, _QUERY),
    ("GET", "/v1/aliases", _LOOKUP, _QUERY),
    ("GET", "/v1/tenants", _LOOKUP, _NOWHERE),
    ("GET", "/v1/status", _LOOKUP, _NOWHERE),
    # chat and orders
    ("POST", "/v1/chat", _CHAT, _BODY),
    ("GET", "/v1/chat", _LOOKUP, _QUERY),
    ("POST", "/v1/chat/{thread}/retry", _OPERATION, _BODY),
    ("GET", "/v1/chat/{thread}", _LOOKUP, _QUERY),
    ("GET", "/v1/chat/{thread}/trace", _LOOKUP, _QUERY),
    ("DELETE", "/v1/chat/{thread}", _LOOKUP, _QUERY),
    ("DELETE", "/v1/chat", _LOOKUP, _QUERY),
    ("GET", "/v1/orders", _LOOKUP, _QUERY),
    ("GET", "/v1/orders/{order}", _LOOKUP, _QUERY),
    ("POST", "/v1/orders/{order}/confirm", _CHAT, _BODY),
    ("POST", "/v1/orders/{order}/retry", _OPERATION, _BODY),
    # `ferroflux up`: changes and operations
    ("POST", "/v1/changes", _INTAKE, _BODY),
    ("POST", "/v1/changes/held", _INTAKE, _BODY),
    ("GET", "/v1/dead-letters", _OPERATION, _QUERY),
    ("GET", "/v1/dead-letters/{letter_id}", _OPERATION, _NOWHERE),
    ("POST", "/v1/dead-letters/redrive", _OPERATION, _BODY),
    ("POST", "/v1/dead-letters/discard", _OPERATION, _BODY),
    ("POST", "/v1/replays", _OPERATION, _BODY),
    ("POST", "/v1/collections", _OPERATION, _BODY),
    ("GET", "/v1/facets", _OPERATION, _QUERY),
    ("POST", "/v1/facets/handover", _OPERATION, _BODY),
    ("POST", "/v1/facets/reset", _OPERATION, _BODY),
    ("GET", "/v1/generations", _OPERATION, _NOWHERE),
    ("POST", "/v1/generations/build", _OPERATION, _NOWHERE),
    ("POST", "/v1/generations/rollback", _OPERATION, _NOWHERE),
    ("POST", "/v1/generations/{name}/gate", _OPERATION, _NOWHERE),
    ("POST", "/v1/generations/{name}/promote", _OPERATION, _NOWHERE),
    ("POST", "/v1/generations/{name}/drop", _OPERATION, _NOWHERE),
    # asked by orchestrators and monitors, and static files
    ("GET", "/healthz", _EXEMPT, _NOWHERE),
    ("GET", "/readyz", _EXEMPT, _NOWHERE),
    ("GET", "/metrics", _EXEMPT, _NOWHERE),
    ("GET", "/indexer/{rest:path}", _EXEMPT, _NOWHERE),
    ("GET", "/openapi.json", _EXEMPT, _NOWHERE),
    ("GET", "/chat/openapi.json", _EXEMPT, _NOWHERE),
    ("GET", "/", _EXEMPT, _NOWHERE),
    ("GET", "/assets/{name}", _EXEMPT, _NOWHERE),
    ("GET", "/chat", _EXEMPT, _NOWHERE),
    ("GET", "/chat/assets/{name}", _EXEMPT, _NOWHERE),
)

UNKNOWN: Final = Route("unmatched", RouteClass.LOOKUP)
"""A path that no application has: 404 is an answer too."""

ROUTES: Final[Mapping[tuple[str, str], Route]] = {
    (method, path): Route(path, kind, tenant) for method, path, kind, tenant in _TABLE
}
"""By method and path template."""

_PATTERNS: Final[tuple[tuple[str, re.Pattern[str], Route], ...]] = tuple(
    (method, compile_path(path)[0], route) for (method, path), route in ROUTES.items() if "{" in path
)


def route_of(method: str, path: str) -> Route:
    """What a request counts as."""
    return ROUTES.get((method, path)) or _by_pattern(method, path)


def _by_pattern(method: str, path: str) -> Route:
    return next((route for verb, pattern, route in _PATTERNS if verb == method and pattern.match(path)), UNKNOWN)
