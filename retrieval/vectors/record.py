"""The stored form of a point's payload: one JSON object, the same on a Qdrant server and in Qdrant Edge.

`tenant` and `sku` stand in it because a point id is a one-way digest of them. Flags are the integers 0 and 1: Edge's
Python binding turns a boolean match into an integer match, which no boolean ever meets (see decision 0010). `writer`
names the write that stored the point; a writer recognises its own work by it when it reads back (decision 0009).
"""

from collections.abc import Mapping
from typing import Any, Final

from retrieval.vectors.port import PointPayload
from schemas.identity import SkuId, SkuKey, TenantId

TENANT: Final = "tenant"
SKU: Final = "sku"
REV: Final = "rev"
ALIVE: Final = "alive"
BRAND: Final = "brand"
CATEGORY: Final = "category"
PRICE: Final = "price"
IN_STOCK: Final = "in_stock"
STATE: Final = "state"
TEXT_HASH: Final = "text_hash"
TEXT_MODEL: Final = "text_model"
WRITER: Final = "writer"

KEYWORD_FIELDS: Final = (BRAND, CATEGORY)
"""Indexed as keywords, beside the tenant."""
INTEGER_FIELDS: Final = (REV, ALIVE, IN_STOCK)
"""Indexed for exact matches."""
FLOAT_FIELDS: Final = (PRICE,)
"""Indexed for ranges."""

Record = dict[str, str | int | float]


def to_record(key: SkuKey, payload: PointPayload, writer: str) -> Record:
    """Lay out a payload for storage; empty text and an unknown price are left out.

    Raises:
        UnicodeDecodeError: `payload.state` is not UTF-8; a state is canonical JSON and always is.
    """
    record: Record = {
        TENANT: key.tenant,
        SKU: key.sku,
        REV: payload.rev,
        ALIVE: int(payload.alive),
        IN_STOCK: int(payload.in_stock),
        STATE: payload.state.decode(),
        WRITER: writer,
    }
    for name, text in (
        (TEXT_HASH, payload.text_hash),
        (TEXT_MODEL, payload.text_model),
        (BRAND, payload.brand),
        (CATEGORY, payload.category),
    ):
        if text:
            record[name] = text
    if payload.price is not None:
        record[PRICE] = float(payload.price)
    return record


def from_record(record: Mapping[str, Any]) -> PointPayload:
    """Read what `to_record` wrote."""
    price = record.get(PRICE)
    return PointPayload(
        rev=int(record[REV]),
        alive=bool(record[ALIVE]),
        state=record[STATE].encode(),
        text_hash=record.get(TEXT_HASH, ""),
        text_model=record.get(TEXT_MODEL, ""),
        brand=record.get(BRAND, ""),
        category=record.get(CATEGORY, ""),
        price=None if price is None else float(price),
        in_stock=bool(record[IN_STOCK]),
    )


def key_of(record: Mapping[str, Any]) -> SkuKey:
    """The identity that a stored record carries."""
    return SkuKey(TenantId(record[TENANT]), SkuId(record[SKU]))


def require_distinct(keys: list[SkuKey]) -> None:
    """Check that one batch of writes names each product once.

    Raises:
        ValueError: a key comes twice; the caller folds its changes by key before it writes.
    """
    if len(set(keys)) != len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"one batch writes {repeated} twice; fold the changes by key first")
