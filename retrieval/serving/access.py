"""Who may ask about which tenant. Without configured keys everybody may; with them, a key opens its tenant and no other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from pydantic import SecretStr
from starlette.datastructures import Headers

from retrieval.serving.problems import ForbiddenError, UnauthorizedError
from schemas.identity import PROBE_TENANT, TenantId


class Access:
    """The keys by tenant. A refusal is the same for a tenant that exists and for one that does not."""

    def __init__(self, keys: Mapping[str, tuple[SecretStr, ...]]) -> None:
        opened: dict[bytes, set[TenantId]] = {}
        for tenant, own in keys.items():
            for key in own:
                opened.setdefault(_digest(key.get_secret_value().encode()), set()).add(TenantId(tenant))
        self._by_digest = {digest: frozenset(tenants) for digest, tenants in opened.items()}

    @property
    def is_open(self) -> bool:
        """Whether no key is asked for."""
        return not self._by_digest

    def admit(self, headers: Headers) -> None:
        """Let a caller pass whose key opens some tenant: all that can be asked before the body has said which.

        Raises:
            UnauthorizedError: there is no key in the request.
            ForbiddenError: the key opens nothing.
        """
        if not self.is_open and not self._required(headers):
            raise ForbiddenError("the key opens no tenant")

    def check(self, headers: Headers, tenant: TenantId) -> None:
        """Let the caller pass, or say why not.

        Raises:
            UnauthorizedError: there is no key in the request.
            ForbiddenError: the key is none of this tenant's.
        """
        if self.is_open:
            return
        if tenant not in self._required(headers):
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
        opened = self._required(headers)
        return tuple(tenant for tenant in shown if tenant in opened)

    def opened(self, headers: Headers) -> frozenset[TenantId]:
        """The tenants that the caller's key opens; none without a key."""
        presented = _presented(headers)
        return self._by_digest.get(_digest(presented), frozenset()) if presented else frozenset()

    def _required(self, headers: Headers) -> frozenset[TenantId]:
        if not _presented(headers):
            raise UnauthorizedError
        return self.opened(headers)


def _digest(key: bytes) -> bytes:
    """Keys are found by their digests: the time that this takes tells nothing of how near a guess was, nor how many there are."""
    return hashlib.sha256(key).digest()


def _presented(headers: Headers) -> bytes:
    scheme, _, credential = headers.get("Authorization", "").partition(" ")
    key = credential.strip() if scheme.lower() == "bearer" else headers.get("X-API-Key", "")
    return key.encode()
