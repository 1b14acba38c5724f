"""The canonical change event as models: the contract's JSON Schema and its documentation.

The parser (`schemas.events.canonical`) does not use them, for speed; a test gives both the same events and expects the
same verdicts. The limits are those of `schemas.normalisers`.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, StrictBool, StrictInt, StrictStr, model_validator

from schemas import normalisers as rules
from schemas.catalogue import FIELDS, Kind, completed
from schemas.events.canonical import MAX_UNAVAILABLE
from schemas.identity import MAX_SKU_LENGTH
from schemas.product.fields import ATTRIBUTE_PREFIX
from schemas.product.sources import SOURCE_PATTERN
from schemas.version import MAX_EPOCH, MAX_SEQUENCE, POSITION_PATTERN

_DECIMAL_TEXT: Final = r"^\s*([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?)?\s*$"
_ATTRIBUTE_NAMES: Final = f"^attributes\\.[^\\x00-\\x1f\\x7f]{{1,{rules.MAX_ATTRIBUTE_NAME}}}$"

Number = StrictInt | float
"""A number where text is expected is written out."""

Title = Annotated[StrictStr, Field(max_length=rules.MAX_TITLE)] | Number
Description = Annotated[StrictStr, Field(max_length=rules.MAX_DESCRIPTION)] | Number
Name = Annotated[StrictStr, Field(max_length=rules.MAX_NAME)] | Number
Unit = Annotated[StrictStr, Field(max_length=rules.MAX_UNIT)] | Number
Currency = Annotated[StrictStr, Field(max_length=rules.MAX_CURRENCY)] | Number
Bullet = Annotated[StrictStr, Field(max_length=rules.MAX_BULLET)] | Number
Ean = Annotated[StrictStr, Field(max_length=rules.MAX_EAN)] | Number
Image = Annotated[StrictStr, Field(max_length=rules.MAX_IMAGE)] | Number
Bullets = Bullet | Annotated[list[Bullet | None], Field(max_length=rules.MAX_BULLETS)]
Eans = Ean | Annotated[list[Ean | None], Field(max_length=rules.MAX_EANS)]
Images = Image | Annotated[list[Image | None], Field(max_length=rules.MAX_IMAGES)]
DecimalText = Annotated[StrictStr, Field(max_length=400, pattern=_DECIMAL_TEXT)]
Price = Annotated[float, Field(strict=True, ge=0, le=rules.MAX_AMOUNT)] | DecimalText
Stock = Annotated[float, Field(strict=True, ge=-rules.MAX_AMOUNT, le=rules.MAX_AMOUNT)] | DecimalText
AttributeText = Annotated[StrictStr, Field(max_length=rules.MAX_ATTRIBUTE_VALUE)] | Number
Attribute = StrictBool | AttributeText | list[AttributeText | None] | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceFields(_Strict):
    """A row of the price facet: one price, of one list where the facet names an instance."""

    price: Price | None = Field(None, description="At least 0; decimal text such as `12.50` is taken too.")
    currency: Currency | None = Field(None, description="ISO 4217 code.")


class StockFields(_Strict):
    """A row of the stock facet: the units on hand, in one place where the facet names an instance."""

    stock: Stock | None = Field(None, description="Units on hand; below zero where orders wait.")


def _attribute_members(schema: dict[str, Any]) -> None:
    """Members beyond the named ones are attributes, and say so in their names."""
    attribute = schema.pop("additionalProperties")
    schema["patternProperties"] = {_ATTRIBUTE_NAMES: attribute}
    schema["additionalProperties"] = False
    schema["maxProperties"] = rules.MAX_ATTRIBUTES


_BY_KIND: Final[dict[Kind, Any]] = {
    Kind.TEXT: Name, Kind.TEXTS: Bullets, Kind.SENTENCES: Bullets, Kind.NUMBER: Stock, Kind.ATTRIBUTES: dict[str, Attribute]
}  # fmt: skip
"""The form of a field that is written in the table alone; one with other limits writes a line of its own below."""


@completed({one.name: (_BY_KIND[one.kind] | None, Field(None, description=one.description)) for one in FIELDS})
class ItemFields(BaseModel):
    """A whole row of the item facet. Null, blank text and an empty list say the same as an absent member."""

    model_config = ConfigDict(extra="allow", frozen=True, json_schema_extra=_attribute_members)
    __pydantic_extra__: dict[str, Attribute]

    title: Title | None = Field(None, description="What the product is called.")
    description: Description | None = Field(None, description="May have several lines.")
    bullets: Bullets | None = Field(None, description="Selling points.")
    brand: Name | None = None
    category: Name | list[Name | None] | None = Field(None, description="A name, or the path from the root as a list.")
    attributes: Annotated[dict[str, Attribute], Field(max_length=rules.MAX_ATTRIBUTES)] | None = Field(
        None, description="Anything else worth finding or filtering by; names of at most 128 characters."
    )
    part_number: Name | None = Field(None, description="The manufacturer's number.")
    ean: Eans | None = Field(None, description="Barcodes.")
    unit: Unit | None = Field(None, description="Unit of sale.")
    image: Images | None = Field(None, description="The same as `images`.")
    images: Images | None = Field(None, description="URLs or object-store paths.")
    price: Price | None = Field(
        None, description="Where the shop keeps it with the product; a price facet goes before."
    )
    currency: Currency | None = Field(None, description="ISO 4217 code.")
    stock: Stock | None = Field(None, description="Where the shop keeps it with the product; stock facets go before.")

    @model_validator(mode="after")
    def _only_attributes_beyond(self) -> "ItemFields":
        for name in self.__pydantic_extra__:
            if not name.startswith(ATTRIBUTE_PREFIX):
                msg = f"{name!r} is no field of an item; other values belong under 'attributes'"
                raise ValueError(msg)
        return self


class Version(_Strict):
    """Position of the change in its source's history: the epoch decides, then the position or the sequence."""

    epoch: int = Field(0, strict=True, ge=0, le=MAX_EPOCH, description="Raised when the source starts its count again.")
    sequence: int = Field(strict=True, ge=0, le=MAX_SEQUENCE, description="Grows with every change of the row.")
    position: Annotated[StrictStr, Field(pattern=f"^{POSITION_PATTERN}$")] | None = Field(
        None,
        description="The place in the source's log where 64 bits do not hold it, in hexadecimal digits: it decides between two "
        "versions that have one, and the sequence between any others.",
    )


def _row_by_operation(schema: dict[str, Any]) -> None:
    """A delete has no row, anything else has one."""
    nothing = {"anyOf": [{"type": "null"}, {"maxProperties": 0, "maxItems": 0, "type": ["object", "array"]}]}
    schema["if"] = {"properties": {"op": {"const": "delete"}}, "required": ["op"]}
    schema["then"] = {"properties": {"fields": nothing, "unavailable": nothing}}
    schema["else"] = {"properties": {"fields": {"type": "object"}}, "required": ["fields"]}


class _Change(_Strict):
    model_config = ConfigDict(json_schema_extra=_row_by_operation)

    tenant: Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = Field(
        None, description="Whose product; absent: the installation's default tenant."
    )
    sku: Annotated[StrictStr, Field(min_length=1, max_length=MAX_SKU_LENGTH, pattern=r"\S")] | StrictInt = Field(
        description="The product's key in its tenant."
    )
    op: Literal["upsert", "delete"] = "upsert"
    version: Annotated[int, Field(strict=True, ge=0, le=MAX_SEQUENCE)] | Version = Field(
        description="A number that grows with every change of the row at its source, never a time of sending."
    )
    unavailable: Annotated[list[StrictStr], Field(max_length=MAX_UNAVAILABLE)] | None = Field(
        None, description="Fields that the source could not give in this row: they keep the value that they had."
    )
    changed_at: (
        Annotated[int, Field(strict=True, ge=0, lt=2**63)] | Annotated[StrictStr, Field(max_length=40)] | None
    ) = Field(
        None, description="When the source committed the change: microseconds since 1970, or ISO 8601 with a zone."
    )
    source: Annotated[StrictStr, Field(pattern=f"^{SOURCE_PATTERN}$")] | None = Field(
        None, description="Whose change it is, where facets have declared sources; absent: `producer`."
    )


class ItemChange(_Change):
    """The product itself; deleting it deletes the product."""

    facet: Literal["item"] | None = Field(None, description="May be left out.")
    fields: ItemFields | None = None


class PriceChange(_Change):
    """A price: `price`, or `price:<list>` where the shop has several."""

    facet: Annotated[StrictStr, Field(pattern=r"^price(:[^\x00-\x1f\x7f]{1,128})?$")]
    fields: PriceFields | None = None


class StockChange(_Change):
    """A stock: `stock`, or `stock:<place>` where the shop has several."""

    facet: Annotated[StrictStr, Field(pattern=r"^stock(:[^\x00-\x1f\x7f]{1,128})?$")]
    fields: StockFields | None = None


class ChangeEventIn(RootModel[ItemChange | PriceChange | StockChange]):
    """A canonical change event: a whole row of one facet of one product, or its deletion, at a version."""
