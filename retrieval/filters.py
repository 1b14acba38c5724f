"""What a search may be narrowed to: one value and one rule, which each store translates into its own query language.

What can be asked is what the table of catalogue fields says (`schemas.catalogue`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from schemas.catalogue import FILTERABLE, Field, Filter
from schemas.documents import SearchDocument
from schemas.identity import TenantId

FilterValue = str | float | bool | None
"""What a product has in a field that is filtered by: folded text, a number or none, yes or no."""

UNKNOWN: Final[dict[str, FilterValue]] = {
    field.key: {Filter.ANY_OF: "", Filter.RANGE: None, Filter.FLAG: True}[field.filter]
    for field in FILTERABLE
    if field.filter
}
"""Of a product of which nothing is known."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What is asked of one field: one of `values`, which are folded, inclusive bounds (None is none), or that its flag is yes."""

    field: Field
    values: frozenset[str] = frozenset()
    low: float | None = None
    high: float | None = None

    def met_by(self, value: FilterValue) -> bool:
        """Whether a product with this value may be shown; one without a number meets no bound."""
        match self.field.filter:
            case Filter.ANY_OF:
                return value in self.values
            case Filter.RANGE if isinstance(value, int | float):
                return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
            case Filter.RANGE:
                return False
            case _:
                return bool(value)


@dataclass(frozen=True, slots=True)
class CatalogueFilter:
    """Products of one tenant that are alive and meet every condition, of which there is at most one a field."""

    tenant: TenantId
    conditions: tuple[Condition, ...] = ()

    @classmethod
    def of(cls, tenant: TenantId, **asked: Any) -> CatalogueFilter:
        """From a request's parameters, such as `brand=["Acme"], price_max=5.0, in_stock=True`; what says nothing is no condition.

        Raises:
            TypeError: no field of the table is asked for by that name.
        """
        conditions = [_condition(field, [asked.pop(name, None) for name in field.parameters]) for field in FILTERABLE]
        if asked:
            raise TypeError(f"no field is filtered by {', '.join(sorted(asked))}")
        return cls(tenant, tuple(condition for condition in conditions if condition))

    def met_by(self, tenant: TenantId, *, alive: bool, value: Callable[[Field], FilterValue]) -> bool:
        """Whether a search may show this product; `value` gives what it has in a field."""
        return alive and tenant == self.tenant and all(one.met_by(value(one.field)) for one in self.conditions)


def meets(document: SearchDocument, catalogue_filter: CatalogueFilter) -> bool:
    """Whether a document is alive and meets the filter."""
    return catalogue_filter.met_by(document.tenant, alive=not document.deleted, value=partial(filter_value, document))


def filter_value(document: SearchDocument, field: Field) -> FilterValue:
    """What the document has in the field, as filters compare it."""
    value: FilterValue = getattr(document, field.key)
    return fold_keyword(value) if isinstance(value, str) else value


def filter_values(document: SearchDocument) -> dict[str, FilterValue]:
    """What a point carries of a document, to be filtered by."""
    return {field.key: filter_value(document, field) for field in FILTERABLE}


def fold_keyword(value: str) -> str:
    """The form in which brand and category are compared: case-folded, blanks collapsed, accents kept."""
    return " ".join(value.casefold().split())


def _condition(field: Field, given: list[Any]) -> Condition | None:
    if field.filter is Filter.RANGE:
        return Condition(field, low=given[0], high=given[1]) if given != [None, None] else None
    if not given[0]:
        return None
    return Condition(field, frozenset(map(fold_keyword, given[0])) if field.filter is Filter.ANY_OF else frozenset())
