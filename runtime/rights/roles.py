"""What a key may do. A route names the roles of which any suffices; the table of routes is `runtime.http.routes`."""

from __future__ import annotations

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
