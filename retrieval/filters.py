"""What a search may be narrowed to. One value, understood by the vector index and by the text index alike."""

from dataclasses import dataclass

from schemas.identity import TenantId


@dataclass(frozen=True, slots=True)
class CatalogueFilter:
    """Products of one tenant that are alive and meet every condition given; a set of values means any of them.

    `brands` and `categories` compare whole values, folded (see `fold_keyword`); prices are inclusive bounds in the
    shop's currency, and a product without a price meets no bound; `in_stock` keeps products with stock or of unknown
    stock.
    """

    tenant: TenantId
    brands: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    price_min: float | None = None
    price_max: float | None = None
    in_stock: bool = False


def fold_keyword(value: str) -> str:
    """The form in which brand and category are compared: case-folded, blanks collapsed, accents kept."""
    return " ".join(value.casefold().split())
