"""What an API's description says of rights: how a key and a token are sent, and the roles of each route."""

from __future__ import annotations

import re
from typing import Any, Final

from runtime.http.routes import ROUTES
from runtime.rights.keys import CUSTOMER_HEADER
from runtime.rights.roles import Role

_DESCRIBED: Final = {(method, re.sub(r":\w+}", "}", path)): route for (method, path), route in ROUTES.items()}
"""As OpenAPI writes paths: without what a parameter may hold."""


def describe_rights(document: dict[str, Any]) -> None:
    """Put them into an OpenAPI document: `x-roles` of an operation are those of which a key needs one, `admin` always being one."""
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "customer": {"type": "apiKey", "in": "header", "name": CUSTOMER_HEADER},
    }
    document["security"] = [{}, {"bearer": []}, {"key": []}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            route = _DESCRIBED.get((method.upper(), path))
            if route is None or not route.roles:
                continue
            operation["x-roles"] = [role.value for role in Role if role in route.roles | {Role.ADMIN}]
            if route.customers:
                operation["security"] = [{}, {"bearer": []}, {"key": []}, {"bearer": [], "customer": []}]
