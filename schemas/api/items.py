"""A product as the API gives it: the search document without its internals."""

from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.catalogue import completed
from schemas.documents import DECLARED, AttributeValue, SearchDocument, instant


@completed(DECLARED)
class Item(BaseModel):
    """One product of the tenant's catalogue, as it is now."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "sku": "TOR-M8X40-Z",
                    "title": "Tornillo hexagonal M8x40 zincado",
                    "brand": "Acme",
                    "category": "Fijaciones / Tornillos",
                    "part_number": "933-8-40",
                    "ean": ["7790001000018"],
                    "unit": "unidad",
                    "price": 0.35,
                    "currency": "USD",
                    "stock": 1200.0,
                    "in_stock": True,
                    "revision": 3,
                }
            ]
        },
    )

    sku: str = Field(description="The shop's own article number.")
    title: str = ""
    description: str = ""
    bullets: tuple[str, ...] = Field((), description="Selling points, one sentence each.")
    brand: str = ""
    category: str = ""
    attributes: dict[str, AttributeValue] = Field(default_factory=dict, description="Further properties by name.")
    part_number: str = Field("", description="The manufacturer's article number.")
    ean: tuple[str, ...] = Field((), description="EAN, UPC or GTIN codes.")
    unit: str = Field("", description="Unit of sale, as the shop names it.")
    images: tuple[str, ...] = Field((), description="Addresses of pictures.")
    price: float | None = Field(None, description="The price in force; null where the shop gives none.")
    currency: str = Field("", description="ISO 4217 code, empty where the shop gives none.")
    prices: dict[str, float] = Field(default_factory=dict, description="Price by list, where there are several.")
    stock: float | None = Field(None, description="Units on hand over all places; null where the shop does not say.")
    stocks: dict[str, float] = Field(default_factory=dict, description="Units on hand by place.")
    in_stock: bool = Field(description="Whether something is on hand; a shop that does not say counts as in stock.")
    revision: int = Field(description="Grows with every change of this product.")
    changed_at: AwareDatetime | None = Field(None, description="When the source committed the newest change, if known.")
    logged_at: AwareDatetime | None = Field(None, description="When Kafka took the newest change, if known.")
    indexed_at: AwareDatetime | None = Field(
        None, description="When the newest change reached the vector index, if known."
    )
    visible_at: AwareDatetime | None = Field(
        None, description="When the text replica that answers committed the newest change, if known."
    )

    @classmethod
    def of(cls, document: SearchDocument) -> Self:
        """The public face of a living document."""
        return cls(
            sku=document.sku,
            **{name: getattr(document, name) for name in DECLARED},
            prices=document.prices,
            stocks=document.stocks,
            in_stock=document.in_stock,
            revision=document.rev,
            changed_at=instant(document.times.changed_us),
            logged_at=instant(document.times.logged_us),
            indexed_at=instant(document.times.indexed_us),
            visible_at=instant(document.times.visible_us),
        )


class SimilarItem(BaseModel):
    """A product and how near its text is to the one asked about."""

    model_config = ConfigDict(frozen=True)

    item: Item
    similarity: float = Field(description="Cosine similarity of the two text vectors.")


class SimilarItems(BaseModel):
    """Products like one, the nearest first."""

    model_config = ConfigDict(frozen=True)

    items: tuple[SimilarItem, ...]


class ComplementItem(BaseModel):
    """A product that is used together with the one asked about, and by which rule."""

    model_config = ConfigDict(frozen=True)

    item: Item
    reason: str = Field(description="In words: `va con taladro`, with what both have in brackets.")
    subject: str = Field(description="What the product asked about is, in the rule's word.")
    thing: str = Field(description="What this product is, in the rule's word.")
    rule: str = Field(description="Id of the rule, as `ferroflux aliases list` shows it.")
    shared: tuple[str, ...] = Field((), description="Sizes, in the analysis' units, and materials that both have.")


class ComplementItems(BaseModel):
    """Products that go with one: the best of each kind, then the second best of each, and so on."""

    model_config = ConfigDict(frozen=True)

    items: tuple[ComplementItem, ...]
