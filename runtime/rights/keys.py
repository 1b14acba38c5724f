"""Who may ask about which tenant, and what. Without configured keys everybody may; with them, a key opens its tenant for its roles.

The role that a request needs is the route's (`schemas.api.routes`), never the handler's to name. The gate before the routes holds to
it before a body is read; which tenant the request is about, a handler checks by the dependency `CallerRights`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from fastapi import Depends
from pydantic import SecretStr
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Scope

from runtime.http.middleware import CUSTOMER_HEADER
from runtime.http.problems import ForbiddenError, MissingRoleError, UnauthorizedError
from runtime.http.routes import needed
from runtime.rights.settings import AccessSettings, KeyGrant
from schemas.api.routes import ANY, PUBLIC, UNKNOWN, Role, Route, named
from schemas.identity import PROBE_TENANT, TenantId


@dataclass(frozen=True, slots=True)
class Opened:
    """The tenants that a key opens: some, or, of the installation's keys, every one."""

    tenants: frozenset[TenantId] = frozenset()
    every: bool = False

    def __contains__(self, tenant: object) -> bool:
        return self.every or tenant in self.tenants

    def __bool__(self) -> bool:
        return self.every or bool(self.tenants)


class Access:
    """The keys by tenant and role. A refusal is the same for a tenant that exists and for one that does not."""

    def __init__(self, keys: Mapping[str, tuple[KeyGrant, ...]], admin_keys: tuple[SecretStr, ...] = ()) -> None:
        granted: dict[bytes, dict[TenantId, frozenset[Role]]] = {}
        for tenant, grants in keys.items():
            for grant in grants:
                roles = granted.setdefault(_digest(grant.key.get_secret_value().encode()), {})
                roles[TenantId(tenant)] = roles.get(TenantId(tenant), frozenset()) | grant.roles
        self._granted = granted
        self._installation = frozenset(_digest(key.get_secret_value().encode()) for key in admin_keys)

    @classmethod
    def of(cls, settings: AccessSettings) -> Self:
        """The keys of the settings."""
        return cls(settings.api_keys, settings.admin_keys)

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for."""
        return not self._granted and not self._installation

    def enter(self, scope: Scope) -> None:
        """Let a request come to its route if its key holds a role of the route for some tenant. A path without a row in the table is none.

        Raises:
            UnauthorizedError: there is no key in the request.
            ForbiddenError: the key opens nothing.
            MissingRoleError: it opens a tenant, for other roles.
        """
        route = needed(scope)
        if self.is_open or (route is not UNKNOWN and route.roles == PUBLIC):
            return
        headers = Headers(scope=scope)
        self.admit(headers)
        roles = _roles(route, customer=CUSTOMER_HEADER in headers)
        if not self.opened(headers, roles):
            raise MissingRoleError(_lacking(roles))

    def admit(self, headers: Headers) -> None:
        """Let a caller pass whose key opens some tenant: all that can be asked before the body has said which.

        Raises:
            UnauthorizedError: there is no key in the request.
            ForbiddenError: the key opens nothing.
        """
        if self.is_open:
            return
        if not _presented(headers):
            raise UnauthorizedError
        if not self.opened(headers):
            raise ForbiddenError("the key opens no tenant")

    def opened(self, headers: Headers, roles: frozenset[Role] = ANY) -> Opened:
        """The tenants that the caller's key opens for one of these roles; none without a key."""
        presented = _presented(headers)
        if not presented:
            return Opened()
        digest = _digest(presented)
        if digest in self._installation:
            return Opened(every=True)
        granted = self._granted.get(digest, {})
        return Opened(frozenset(tenant for tenant, held in granted.items() if held & roles))


@dataclass(frozen=True, slots=True)
class Rights:
    """What the sender of one request may do, beyond having come to its route. Without keys: everything."""

    access: Access
    request: Request

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for."""
        return self.access.is_open

    @property
    def opened(self) -> Opened:
        """The tenants that the key opens, for any role."""
        return self.access.opened(self.request.headers)

    def check(self, tenant: TenantId, *, customer: bool = False) -> None:
        """Let the caller pass whose key opens this tenant for the route, or say why not.

        `customer` says that the handler limits the call to what belongs to the customer of a token.

        Raises:
            UnauthorizedError: there is no key in the request.
            ForbiddenError: the key is none of this tenant's.
            MissingRoleError: it is, and lacks the role.
        """
        if self.is_open:
            return
        self.access.admit(self.request.headers)
        if tenant not in self.opened:
            raise ForbiddenError
        roles = _roles(needed(self.request.scope), customer=customer)
        if tenant not in self.access.opened(self.request.headers, roles):
            raise MissingRoleError(_lacking(roles))

    def check_every_tenant(self) -> None:
        """Let a caller pass who asks for something that concerns every tenant.

        Raises:
            UnauthorizedError: there is no key in the request.
            ForbiddenError: it is none of the installation's.
        """
        if self.is_open:
            return
        self.access.admit(self.request.headers)
        if not self.opened.every:
            raise ForbiddenError(
                "this concerns every tenant: name one that the key opens, or use a key of the installation"
            )

    def holds(self, tenant: TenantId, role: Role) -> bool:
        """Whether the caller's key holds a role for this tenant."""
        return self.is_open or tenant in self.access.opened(self.request.headers, frozenset({role}))

    def visible(self, tenants: Iterable[TenantId]) -> tuple[TenantId, ...]:
        """Those of the tenants that the caller may know of; the one of synthetic products is nobody's.

        Raises:
            UnauthorizedError: there is no key in the request.
            ForbiddenError: the key opens nothing.
        """
        self.access.admit(self.request.headers)
        shown = [tenant for tenant in tenants if tenant != PROBE_TENANT]
        if self.is_open:
            return tuple(shown)
        opened = self.opened
        return tuple(tenant for tenant in shown if tenant in opened)


def rights_of(request: Request) -> Rights:
    """The rights of whoever sent this request, by the keys of the application that answers it (`app.state.access`)."""
    return Rights(request.app.state.access, request)


CallerRights = Annotated[Rights, Depends(rights_of)]
"""As a handler's parameter."""


def _roles(route: Route, *, customer: bool) -> frozenset[Role]:
    return route.roles | {Role.CHAT} if route.customers and customer else route.roles


def _lacking(roles: frozenset[Role]) -> str:
    return f"this route asks for a key with the role {named(roles)}, and the key holds others; the operator grants roles in API_KEYS"


def _digest(key: bytes) -> bytes:
    """Keys are found by their digests: the time that this takes tells nothing of how near a guess was, nor how many there are."""
    return hashlib.sha256(key).digest()


def _presented(headers: Headers) -> bytes:
    scheme, _, credential = headers.get("Authorization", "").partition(" ")
    key = credential.strip() if scheme.lower() == "bearer" else headers.get("X-API-Key", "")
    return key.encode()
