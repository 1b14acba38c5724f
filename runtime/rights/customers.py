"""Who the customer is: a signed token (JWT) in a header of its own, checked by what the operator set for its tenant.

Nothing that a token says about its own checking is believed: the algorithms, the audience and the place of the keys are the settings'.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import jwt
from starlette.datastructures import Headers

from runtime.http.middleware import CUSTOMER_HEADER
from runtime.http.problems import InvalidTokenError
from runtime.rights.jwks import PublishedKeys, verifier
from runtime.rights.settings import CustomerTokens
from schemas.identity import TenantId

_LONGEST_TOKEN: Final = 8_192
_LONGEST_NAME: Final = 128


class Customers:
    """The issuers of customers' tokens by tenant."""

    def __init__(self, tokens: Mapping[str, CustomerTokens]) -> None:
        self._tokens = {TenantId(tenant): one for tenant, one in tokens.items()}
        self._published = {
            tenant: PublishedKeys(one.jwks_url, timeout_s=one.timeout_s)
            for tenant, one in self._tokens.items()
            if one.jwks_url
        }
        issued = Counter(map(_issuer, self._tokens.values()))
        self._shared = frozenset(tenant for tenant, one in self._tokens.items() if issued[_issuer(one)] > 1)
        """Tenants whose tokens another tenant's issuer signs, for the same audience: there a token has to name its tenant."""

    def takes(self, tenant: TenantId) -> bool:
        """Whether this tenant's customers have tokens."""
        return tenant in self._tokens

    async def named(self, headers: Headers, tenant: TenantId) -> str:
        """The customer of the request's token; empty where there is no token.

        Raises:
            InvalidTokenError: the token is not one of this tenant's issuer, or no longer.
            IssuerUnavailableError: it cannot be checked, for the issuer's keys are not known.
        """
        presented = headers.getlist(CUSTOMER_HEADER)
        if not presented:
            return ""
        settings = self._tokens.get(tenant)
        if settings is None:
            raise InvalidTokenError(
                "this tenant takes no customers' tokens: the operator names their issuer in CUSTOMERS"
            )
        if len(presented) > 1 or len(presented[0]) > _LONGEST_TOKEN:
            raise InvalidTokenError
        try:
            claims = await self._claims(presented[0].strip(), settings, tenant)
        except jwt.PyJWTError as error:
            raise InvalidTokenError(_sentence(error)) from error
        if tenant in self._shared and "tenant" not in claims:
            raise InvalidTokenError("the customer's token does not fit this installation: it has to name its tenant")
        return _customer(claims, settings.claim, tenant)

    async def _claims(self, token: str, settings: CustomerTokens, tenant: TenantId) -> dict[str, Any]:
        published = self._published.get(tenant)
        key: jwt.PyJWK | str
        if published is None:
            key = settings.secret.get_secret_value()
        else:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in settings.accepted:  # before the issuer is asked for anything
                raise jwt.InvalidAlgorithmError
            found = await published.key(str(header.get("kid", "")))
            if found is None:
                raise jwt.InvalidKeyError
            key = verifier(found, header["alg"])
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(settings.accepted),
            audience=settings.audience,
            issuer=settings.issuer or None,
            leeway=settings.leeway_s,
            options={"require": ["exp", "aud", settings.claim]},
        )
        return claims


def _issuer(tokens: CustomerTokens) -> tuple[str, ...]:
    return tokens.secret.get_secret_value(), tokens.jwks_url, tokens.audience


def _customer(claims: Mapping[str, Any], claim: str, tenant: TenantId) -> str:
    if claims.get("tenant", tenant) != tenant:
        raise InvalidTokenError("the customer's token is of another tenant")
    name = claims[claim]
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST_NAME or _is_unprintable(name):
        raise InvalidTokenError(
            f"the claim {claim!r} names no customer: it is a text of 1 to {_LONGEST_NAME} characters"
        )
    return name


def _is_unprintable(name: str) -> bool:
    return any(unicodedata.category(character) in {"Cc", "Cs"} for character in name)


def _sentence(error: jwt.PyJWTError) -> str | None:
    """What the sender can mend; of a signature nothing but that it is not valid."""
    if isinstance(error, jwt.ExpiredSignatureError):
        return "the customer's token has expired: send a fresh one"
    if isinstance(error, jwt.InvalidAudienceError | jwt.InvalidIssuerError | jwt.MissingRequiredClaimError):
        return f"the customer's token does not fit this installation: {error}"
    return None
