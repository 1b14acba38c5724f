"""The table of routes: every route of every application of ours, with the class whose bound it shares and the roles that may call it.

An application with a route that is not here does not start. A class is what costs alike and is waited for alike. What may go
on without a bound is named as exempt, for a reason: an orchestrator that cannot ask a busy process whether it lives would kill it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """One kind of right. A key has any number of them for its tenant; `admin` is of the installation and holds all the others."""

    SEARCH = "search"
    """Find and read products: what a shop's page in a browser needs."""
    CHAT = "chat"
    """Order by chat: conversations of one's own, and the orders in them."""
    ORDERS = "orders"
    """Read and confirm every order of the tenant: the shop's back office."""
    WRITE = "write"
    """Send changes of the catalogue."""
    OPERATE = "operate"
    """What operators do for one tenant: dead letters, replays, conversations and orders that were set apart."""
    ADMIN = "admin"
    """What concerns the installation: generations, tombstones, the journal, every tenant."""


PUBLIC: Final[frozenset[Role]] = frozenset()
"""No key is asked for: health, metrics, static files."""

ANY: Final = frozenset(Role)
"""Any key will do: the answer holds only what the key opens."""

BARE: Final = frozenset({Role.SEARCH, Role.CHAT})
"""What a key may do that is written without roles."""

OF_A_TENANT: Final = frozenset(Role) - {Role.ADMIN}
"""What a tenant's key can be granted."""


def named(roles: frozenset[Role]) -> str:
    """The roles in a sentence, in the order in which they are defined."""
    return " or ".join(f"`{role.value}`" for role in Role if role in roles)


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
    roles: frozenset[Role]
    """Those of which a key needs one; none: no key is asked for."""
    tenant: TenantIn = TenantIn.NOWHERE
    customers: bool = False
    """Whether a key for `chat` will do where a customer's token comes with it: for what is that customer's."""


_SEARCH, _LOOKUP, _CHAT = RouteClass.SEARCH, RouteClass.LOOKUP, RouteClass.CHAT
_INTAKE, _OPERATION, _EXEMPT = RouteClass.INTAKE, RouteClass.OPERATION, RouteClass.EXEMPT
_QUERY, _BODY = TenantIn.QUERY, TenantIn.BODY

_FIND, _TALK, _SELL = frozenset({Role.SEARCH}), frozenset({Role.CHAT}), frozenset({Role.ORDERS})
_WRITE, _OPERATE, _ADMIN = frozenset({Role.WRITE}), frozenset({Role.OPERATE}), frozenset({Role.ADMIN})

_ROWS: Final[tuple[tuple[str, Route], ...]] = (
    # search
    ("POST", Route("/v1/search", _SEARCH, _FIND, _BODY)),
    ("GET", Route("/v1/search", _SEARCH, _FIND, _QUERY)),
    ("GET", Route("/v1/items/{sku:path}/similar", _SEARCH, _FIND, _QUERY)),
    ("GET", Route("/v1/items/{sku:path}/complements", _LOOKUP, _FIND, _QUERY)),
    ("GET", Route("/v1/items/{sku:path}", _LOOKUP, _FIND, _QUERY)),
    ("POST", Route("/v1/analyze", _LOOKUP, _FIND, _BODY)),
    ("GET", Route("/v1/suggest", _LOOKUP, _FIND, _QUERY)),
    ("GET", Route("/v1/aliases", _LOOKUP, _FIND, _QUERY)),
    ("GET", Route("/v1/tenants", _LOOKUP, ANY)),
    ("GET", Route("/v1/status", _LOOKUP, ANY)),
    # chat and orders
    ("POST", Route("/v1/chat", _CHAT, _TALK, _BODY)),
    ("GET", Route("/v1/chat", _LOOKUP, _OPERATE, _QUERY)),
    ("POST", Route("/v1/chat/{thread}/retry", _OPERATION, _OPERATE, _BODY)),
    ("GET", Route("/v1/chat/{thread}", _LOOKUP, _TALK | _OPERATE, _QUERY)),
    ("GET", Route("/v1/chat/{thread}/trace", _LOOKUP, _TALK | _OPERATE, _QUERY)),
    ("DELETE", Route("/v1/chat/{thread}", _LOOKUP, _TALK | _OPERATE, _QUERY)),
    ("DELETE", Route("/v1/chat", _LOOKUP, _OPERATE, _QUERY, customers=True)),
    ("GET", Route("/v1/orders", _LOOKUP, _SELL, _QUERY, customers=True)),
    ("GET", Route("/v1/orders/{order}", _LOOKUP, _SELL, _QUERY, customers=True)),
    ("POST", Route("/v1/orders/{order}/confirm", _CHAT, _SELL, _BODY, customers=True)),
    ("POST", Route("/v1/orders/{order}/retry", _OPERATION, _OPERATE, _BODY)),
    # `ferroflux up`: changes and operations
    ("POST", Route("/v1/changes", _INTAKE, _WRITE, _BODY)),
    ("POST", Route("/v1/changes/held", _INTAKE, _WRITE, _BODY)),
    ("GET", Route("/v1/dead-letters", _OPERATION, _OPERATE, _QUERY)),
    ("GET", Route("/v1/dead-letters/{letter_id}", _OPERATION, _OPERATE)),
    ("POST", Route("/v1/dead-letters/redrive", _OPERATION, _OPERATE, _BODY)),
    ("POST", Route("/v1/dead-letters/discard", _OPERATION, _OPERATE, _BODY)),
    ("POST", Route("/v1/replays", _OPERATION, _OPERATE, _BODY)),
    ("POST", Route("/v1/tombstones/gc", _OPERATION, _ADMIN, _BODY)),
    ("POST", Route("/v1/collections", _OPERATION, _ADMIN, _BODY)),  # its former name
    ("GET", Route("/v1/facets", _OPERATION, _OPERATE, _QUERY)),
    ("POST", Route("/v1/facets/handover", _OPERATION, _OPERATE, _BODY)),
    ("POST", Route("/v1/facets/reset", _OPERATION, _OPERATE, _BODY)),
    ("GET", Route("/v1/generations", _OPERATION, _ADMIN)),
    ("POST", Route("/v1/generations/build", _OPERATION, _ADMIN)),
    ("POST", Route("/v1/generations/rollback", _OPERATION, _ADMIN)),
    ("POST", Route("/v1/generations/{name}/gate", _OPERATION, _ADMIN)),
    ("POST", Route("/v1/generations/{name}/promote", _OPERATION, _ADMIN)),
    ("POST", Route("/v1/generations/{name}/drop", _OPERATION, _ADMIN)),
    # asked by orchestrators and monitors, and static files
    ("GET", Route("/healthz", _EXEMPT, PUBLIC)),
    ("GET", Route("/readyz", _EXEMPT, PUBLIC)),
    ("GET", Route("/metrics", _EXEMPT, PUBLIC)),
    ("GET", Route("/indexer/{rest:path}", _EXEMPT, PUBLIC)),
    ("GET", Route("/openapi.json", _EXEMPT, PUBLIC)),
    ("GET", Route("/chat/openapi.json", _EXEMPT, PUBLIC)),
    ("GET", Route("/", _EXEMPT, PUBLIC)),
    ("GET", Route("/assets/{name}", _EXEMPT, PUBLIC)),
    ("GET", Route("/chat", _EXEMPT, PUBLIC)),
    ("GET", Route("/chat/assets/{name}", _EXEMPT, PUBLIC)),
)

UNKNOWN: Final = Route("unmatched", RouteClass.LOOKUP, _ADMIN)
"""A path that no application has: 404 is an answer too."""

ROUTES: Final[Mapping[tuple[str, str], Route]] = {(method, route.path): route for method, route in _ROWS}
"""By method and path template."""
