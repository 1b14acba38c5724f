"""Who a record is about: the tenant, the SKU, and the keys derived from the pair.

One `SkuKey` names a product everywhere: the Kafka key `tenant/sku`, the point id in the vector store (UUIDv5 of that
key, so that a writer needs no lookup) and the key term of the text replica.

A SKU has one spelling. Keyboards and databases write the same letters composed (NFC) or decomposed (NFD), and copying from
a page brings characters along that nobody sees; what comes from outside is therefore brought to NFC without Unicode's
Default_Ignorable_Code_Points (`sku_id`, `SkuKey.of`). Among these are the joiners (U+200C, U+200D), which in some scripts
change how a word looks: in an article number they are dropped all the same, since two products that differ in nothing else
could not be told apart by anyone who types one. A key that was stored is taken as it stands (`SkuKey.parse`): it names a
point or a document under just those bytes. What releases before this rule stored is joined to its product by
`indexer.respelling` (decision 0076).
"""

from __future__ import annotations

import re
import unicodedata
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
_IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
"""Unicode's Default_Ignorable_Code_Point: soft hyphen, zero-width characters, marks of writing direction, variation selectors."""
_LONGEST_SPELLING: Final = 3 * MAX_SKU_LENGTH
"""Visible characters that are brought to NFC; a letter decomposes into three at most in what people write. Sorting the
marks of a longer text takes time that grows with its square."""
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
    """Validate a SKU and bring it to its one spelling: 1 to 256 characters without control characters.

    Surrounding blanks and invisible characters are not part of it, and letters are composed (NFC).

    Raises:
        InvalidEventError: it is empty, too long, or holds a control character or a lone surrogate.
    """
    return _valid_sku(raw if raw.isascii() else _one_spelling(raw))


def _one_spelling(raw: str) -> str:
    """NFC without what nobody sees; a text that is far too long is left as it is, and refused for its length."""
    visible = _IGNORABLE.sub("", raw)
    return visible if len(visible) > _LONGEST_SPELLING else unicodedata.normalize("NFC", visible)


def _valid_sku(raw: str) -> SkuId:
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
        """Validate both parts, and bring the SKU to its one spelling.

        Raises:
            InvalidEventError: one of them is not allowed.
        """
        return cls(tenant_id(tenant), sku_id(sku))

    @classmethod
    def parse(cls, text: str) -> SkuKey:
        """Read a stored `tenant/sku` as it stands, in whatever spelling; the first slash separates, later ones are the SKU's.

        Raises:
            InvalidEventError: there is no slash, or a part is not allowed.
        """
        tenant, slash, sku = text.partition("/")
        if not slash:
            msg = f"key {text[:80]!r} is not of the form tenant/sku"
            raise InvalidEventError(msg)
        return cls(tenant_id(tenant), _valid_sku(sku))

    @property
    def canonical(self) -> SkuKey:
        """The product's key in its one spelling: the key itself, save for what a release before that rule stored.

        A SKU of invisible characters alone has no other spelling.
        """
        if self.sku.isascii():
            return self
        try:
            return SkuKey(self.tenant, sku_id(self.sku))
        except InvalidEventError:
            return self

    @property
    def is_canonical(self) -> bool:
        """Whether the key is in its product's one spelling."""
        return self.canonical == self

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
