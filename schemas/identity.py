"""Who a record is about: the tenant, the SKU, and the keys derived from the pair.

One `SkuKey` names a product everywhere: the Kafka key `tenant/sku`, the point id in the vector store (UUIDv5 of that
key, so that a writer needs no lookup) and the key term of the text replica.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NewType

from schemas.errors import InvalidEventError

TenantId = NewType("TenantId", str)
SkuId = NewType("SkuId", str)

PROBE_TENANT: Final = TenantId("ferroflux-probe")
"""Reserved for synthetic products, by which the system measures itself; no list of tenants shows it."""

MAX_TENANT_LENGTH: Final = 64
MAX_SKU_LENGTH: Final = 256

_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_POINT_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "urn:ferroflux:sku")


def tenant_id(raw: str) -> TenantId:
    """Validate a tenant name: letters, digits, `.`, `_`, `-`, at most 64, beginning with a letter or digit.

    The narrow alphabet is what makes `tenant/sku` unambiguous while a SKU may hold anything printable.

    Raises:
        InvalidEventError: the name has other characters or another length.
    """
    if not _TENANT.fullmatch(raw):
        msg = f"tenant {raw[:80]!r} is not 1-{MAX_TENANT_LENGTH} letters, digits, '.', '_' or '-'"
        raise InvalidEventError(msg)
    return TenantId(raw)


def sku_id(raw: str) -> SkuId:
    """Validate a SKU: 1 to 256 characters without control characters; surrounding blanks are not part of it.

    Raises:
        InvalidEventError: it is empty, too long, or holds a control character or a lone surrogate.
    """
    sku = raw.strip()
    if not sku or len(sku) > MAX_SKU_LENGTH or _CONTROL.search(sku):
        msg = f"sku {raw[:80]!r} is not 1-{MAX_SKU_LENGTH} printable characters"
        raise InvalidEventError(msg)
    try:
        sku.encode()
    except UnicodeEncodeError as error:
        msg = f"sku {raw[:80]!r} is not valid Unicode"
        raise InvalidEventError(msg) from error
    return SkuId(sku)


@dataclass(frozen=True, slots=True, order=True)
class SkuKey:
    """The identity of one product of one tenant. Build it with `SkuKey.of` where the parts come from outside."""

    tenant: TenantId
    sku: SkuId

    @classmethod
    def of(cls, tenant: str, sku: str) -> SkuKey:
        """Validate both parts.

        Raises:
            InvalidEventError: one of them is not allowed.
        """
        return cls(tenant_id(tenant), sku_id(sku))

    @classmethod
    def parse(cls, text: str) -> SkuKey:
        """Read `tenant/sku`; the first slash separates, later ones belong to the SKU.

        Raises:
            InvalidEventError: there is no slash, or a part is not allowed.
        """
        tenant, slash, sku = text.partition("/")
        if not slash:
            msg = f"key {text[:80]!r} is not of the form tenant/sku"
            raise InvalidEventError(msg)
        return cls.of(tenant, sku)

    def __str__(self) -> str:
        return f"{self.tenant}/{self.sku}"

    @property
    def kafka_key(self) -> bytes:
        """The record key on every topic, UTF-8."""
        return str(self).encode()

    @property
    def point_id(self) -> str:
        """The point id in the vector store: UUIDv5 of `tenant/sku` in our own namespace, as text."""
        return _point_id(str(self))


# One write asks several times for the same ids; the bound is a few megabytes, and far more keys than one batch has.
@lru_cache(maxsize=16_384)
def _point_id(key: str) -> str:
    return str(uuid.uuid5(_POINT_NAMESPACE, key))
