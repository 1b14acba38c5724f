"""The keys that an issuer of tokens publishes (JWKS): fetched from the one address that the operator set, kept, and fetched again sparingly.

Whoever sends tokens with made-up key ids makes us fetch at most once in `_AGAIN_S`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import httpx
import jwt
import orjson
import structlog

from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.errors import RetryableError

log = structlog.get_logger(__name__)

_FRESH_S: Final = 300.0
"""How long keys are used without asking whether they still are the issuer's."""
_KEPT_S: Final = 86_400.0
"""How long they are used where the issuer does not answer."""
_AGAIN_S: Final = 15.0
_LARGEST_BYTES: Final = 256 * 1024

PublicKey = dict[str, Any]
"""A key as it was published (RFC 7517). Only with a token's algorithm is it one to verify with."""


class IssuerUnavailableError(RetryableError):
    """The issuer of customers' tokens does not give its keys, so a token cannot be checked. Try again; JWKS_URL names the issuer."""

    code = "issuer_unavailable"


class PublishedKeys:
    """The keys of one address, by their ids."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float,
        fetch: Callable[[], Awaitable[bytes]] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._fetch = fetch or self._over_http
        self._clock = clock
        self._keys: Mapping[str, PublicKey] = {}
        self._fetched: float | None = None
        self._asked: float | None = None
        self._lock = asyncio.Lock()

    async def key(self, key_id: str) -> PublicKey | None:
        """The key of an id, or, where the token names none, the only one that there is; None where there is no such key.

        Raises:
            IssuerUnavailableError: the keys are not known and cannot be had.
        """
        found = self._find(key_id)
        if found is None or self._age() > _FRESH_S:
            async with self._lock:
                if (self._find(key_id) is None or self._age() > _FRESH_S) and self._may_ask():
                    await self._renew()
            found = self._find(key_id)
        if found is None and self._age() > _KEPT_S:
            raise IssuerUnavailableError
        return found

    def _find(self, key_id: str) -> PublicKey | None:
        if self._age() > _KEPT_S:
            return None
        if key_id:
            return self._keys.get(key_id)
        return next(iter(self._keys.values())) if len(self._keys) == 1 else None

    def _age(self) -> float:
        return float("inf") if self._fetched is None else self._clock.monotonic() - self._fetched

    def _may_ask(self) -> bool:
        return self._asked is None or self._clock.monotonic() - self._asked >= _AGAIN_S

    async def _renew(self) -> None:
        self._asked = self._clock.monotonic()
        try:
            self._keys = _keys_of(await self._fetch())
            self._fetched = self._clock.monotonic()
        except (httpx.HTTPError, OSError, ValueError, jwt.PyJWTError) as error:
            log.warning("keys of the issuer not fetched", url=self._url.partition("?")[0], error=type(error).__name__)

    async def _over_http(self) -> bytes:
        async with (
            httpx.AsyncClient(timeout=self._timeout_s, follow_redirects=False) as client,
            asyncio.timeout(self._timeout_s),
            client.stream("GET", self._url, headers={"Accept": "application/json"}) as response,
        ):
            response.raise_for_status()
            content = b""
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > _LARGEST_BYTES:
                    raise ValueError("the answer is no set of keys: it is too long")
            return content


def verifier(key: PublicKey, algorithm: str) -> jwt.PyJWK:
    """The key for one algorithm.

    Raises:
        jwt.PyJWTError: it was published for another, or does not fit.
    """
    if key.get("alg", algorithm) != algorithm:
        raise jwt.InvalidAlgorithmError
    return jwt.PyJWK(key, algorithm=algorithm)


def _keys_of(content: bytes) -> dict[str, PublicKey]:
    """The public keys of a set; what it holds beside them (secrets, keys for encryption, kinds that we do not know) is left out."""
    document: Any = orjson.loads(content)
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the answer is no set of keys")  # noqa: TRY004 - what came is bad input, no defect
    found = {}
    for raw in listed:
        if isinstance(raw, dict) and raw.get("kty") != "oct" and raw.get("use", "sig") == "sig":
            with contextlib.suppress(jwt.PyJWTError):
                jwt.PyJWK(raw)
                found[str(raw.get("kid", ""))] = raw
    return found
