"""The search document: one product as searchers see it, and the record value of the compacted topic `catalog.documents`.

A document is a pure function of the item's merged state, so equal states give equal documents. A deleted product stays
as a document with `deleted` set (a durable tombstone); the record is never null until garbage collection.
Times are microseconds since 1970 inside, and RFC 3339 in UTC on the wire (`instant`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from schemas.catalogue import FIELDS, Kind, completed
from schemas.identity import SkuId, SkuKey, TenantId

AttributeValue = str | float | bool


class DocumentTimes(BaseModel):
    """When the newest merged change passed each stage, in microseconds since 1970; 0 where a stage is unknown."""

    model_config = ConfigDict(frozen=True)

    changed_us: int = Field(0, description="The source committed the change.")
    logged_us: int = Field(0, description="Kafka took the change event.")
    indexed_us: int = Field(0, description="The indexer wrote the vector store and produced this document.")
    visible_us: int = Field(
        0,
        description="A text replica began the commit that makes it searchable there; 0 in the log: each notes its own.",
    )
    backfill: bool = Field(
        False, description="It came by a bulk load or a replay: its age says nothing of how fresh live changes arrive."
    )


DECLARED: Final[dict[str, tuple[Any, Any]]] = {
    one.name: {
        Kind.TEXT: (str, Field("", description=one.description)),
        Kind.TEXTS: (tuple[str, ...], Field((), description=one.description)),
        Kind.SENTENCES: (tuple[str, ...], Field((), description=one.description)),
        Kind.NUMBER: (float | None, Field(None, description=one.description)),
        Kind.ATTRIBUTES: (dict[str, AttributeValue], Field(default_factory=dict, description=one.description)),
    }[one.kind]
    for one in FIELDS
}
"""How a document, and a product of the API, holds each field: its type and default."""


@completed(DECLARED)
class SearchDocument(BaseModel):
    """One product at one revision: identity, revision, item fields, and the merged price and stock."""

    # JSON knows no infinity: a document with one would be stored, and could never be read again.
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    tenant: TenantId
    sku: SkuId
    rev: int = Field(ge=1, description="Counts the writes of this product's point; a replica never goes back.")
    state: str = Field(description="Digest of the merged state that this document was built from, 16 hex digits.")
    deleted: bool = False
    title: str = ""
    description: str = ""
    bullets: tuple[str, ...] = ()
    brand: str = ""
    category: str = ""
    attributes: dict[str, AttributeValue] = Field(default_factory=dict)
    part_number: str = ""
    ean: tuple[str, ...] = ()
    unit: str = ""
    images: tuple[str, ...] = ()
    price: float | None = Field(None, description="The price in force; null where the shop gives none.")
    currency: str = ""
    prices: dict[str, float] = Field(default_factory=dict, description="Price by list, where the shop has several.")
    stock: float | None = Field(None, description="Units on hand over all places; null where the shop does not say.")
    stocks: dict[str, float] = Field(default_factory=dict, description="Units on hand by place.")
    text_hash: str = Field("", description="Digest of the text that the vector was computed from; empty without one.")
    model: str = Field("", description="Revision of the encoder that computed the vector; empty without one.")
    times: DocumentTimes = Field(default_factory=DocumentTimes)
    omitted: tuple[str, ...] = Field(
        (),
        description="What the product has and this document lacks: parts that made it larger than its topic takes (stocks, prices, images, description, bullets, attributes, ean, names), and more_stocks or more_prices where it has more places or lists than a product may hold.",
    )

    @property
    def key(self) -> SkuKey:
        """The product's identity; the parts were validated when the event was parsed."""
        return SkuKey(self.tenant, self.sku)

    @property
    def in_stock(self) -> bool:
        """Whether there is at least something on hand; a shop that does not say counts as in stock."""
        return self.stock is None or self.stock > 0

    @classmethod
    def trusted(cls, **values: Any) -> SearchDocument:
        """A document of values that are known to be valid, in the fields' own types; fields that are not named default.

        The indexer builds one for every change: this is `model_construct` without its walk over the fields.
        """
        return _bare({**_TEMPLATE, "attributes": {}, "prices": {}, "stocks": {}, "times": NO_TIMES, **values})

    def timed(self, times: DocumentTimes) -> SearchDocument:
        """The same document with other times; all else is shared with it, as both are immutable."""
        return _bare({**self.__dict__, "times": times})

    def to_bytes(self) -> bytes:
        """The record value: JSON without fields that hold their default."""
        return self.model_dump_json(exclude_defaults=True).encode()


NO_TIMES: Final = DocumentTimes.model_validate({})

_TEMPLATE: Final[dict[str, Any]] = {
    name: None if field.is_required() else field.get_default(call_default_factory=True)
    for name, field in SearchDocument.model_fields.items()
}
"""Every field in its order, which is the order of the JSON; `trusted` puts fresh values over what is mutable or required."""

_ALL_FIELDS: Final = set(SearchDocument.model_fields)


def _bare(values: dict[str, Any]) -> SearchDocument:
    """A model around its fields' values, without validation: the attributes are those that pydantic itself sets."""
    document = SearchDocument.__new__(SearchDocument)
    object.__setattr__(document, "__dict__", values)
    object.__setattr__(document, "__pydantic_fields_set__", _ALL_FIELDS)
    object.__setattr__(document, "__pydantic_extra__", None)
    object.__setattr__(document, "__pydantic_private__", None)
    return document


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END_US: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def instant(microseconds: int) -> datetime | None:
    """The instant in UTC; None for 0 (unknown) and for a count that no calendar date has."""
    if not 0 < microseconds <= _END_US:
        return None
    return _EPOCH + timedelta(microseconds=microseconds)
