"""Who may ask about which tenant. Without configured keys everybody may; with them, a key opens its tenant and no other."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping

from pydantic import SecretStr
from starlette.datastructures import Headers

from retrieval.serving.problems import ForbiddenError, UnauthorizedError
from schemas.identity import PROBE_TENANT, TenantId


class Access:
    """The keys by tenant. A refusal is the same for a tenant that exists and for one that does not."""

    def __init__(self, keys: Mapping[str, tuple[SecretStr, ...]]) -> None:
        self._keys = {
            TenantId(tenant): tuple(key.get_secret_value().encode() for key in own) for tenant, own in keys.items()
        }

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for."""
        return not self._keys

    def admit(self, headers: Headers) -> None:
        """Let a caller pass whose key opens some tenant: all that can be asked before the body has said which.

        Raises:
            UnauthorizedError: there is no key in the request.
            ForbiddenError: the key opens nothing.
        """
        if not self.is_open and not self._opened(_presented(headers)):
            raise ForbiddenError("the key opens no tenant")

    def check(self, headers: Headers, tenant: TenantId) -> None:
        """Let the caller pass, or say why not.

        Raises:
            UnauthorizedError: there is no key in the request.
            ForbiddenError: the key is none of this tenant's.
        """
        if self.is_open:
            return
        if tenant not in self._opened(_presented(headers)):
            raise ForbiddenError

    def visible(self, headers: Headers, tenants: Iterable[TenantId]) -> tuple[TenantId, ...]:
        """Those of the tenants that the caller may know of; the one of synthetic products is nobody's.

        Raises:
            UnauthorizedError: there is no key in the request.
            ForbiddenError: the key opens nothing.
        """
        self.admit(headers)
        shown = [tenant for tenant in tenants if tenant != PROBE_TENANT]
        if self.is_open:
            return tuple(shown)
        opened = self._opened(_presented(headers))
        return tuple(tenant for tenant in shown if tenant in opened)

    def _opened(self, presented: bytes) -> frozenset[TenantId]:
        # Every key is compared, in constant time each: the time taken tells nothing of which one was near.
        matches = [(tenant, hmac.compare_digest(key, presented)) for tenant, own in self._keys.items() for key in own]
        return frozenset(tenant for tenant, same in matches if same)


def _presented(headers: Headers) -> bytes:
    scheme, _, credential = headers.get("Authorization", "").partition(" ")
    key = credential.strip() if scheme.lower() == "bearer" else headers.get("X-API-Key", "")
    if not key:
        raise UnauthorizedError
    return key.encode()
