"""What Edge's queries look like: the one place where a search's visibility is decided here."""

from __future__ import annotations

import qdrant_edge as edge

from retrieval.filters import CatalogueFilter
from retrieval.vectors import record
from schemas.identity import TenantId


def visible(within: CatalogueFilter) -> edge.Filter:
    """The tenant's living products that meet every condition."""
    must: list[edge.ConditionType] = [_equals(record.TENANT, within.tenant), _equals(record.ALIVE, 1)]
    if within.brands:
        must.append(_any_of(record.BRAND, within.brands))
    if within.categories:
        must.append(_any_of(record.CATEGORY, within.categories))
    if within.price_min is not None or within.price_max is not None:
        bounds = edge.RangeFloat(gte=within.price_min, lte=within.price_max)
        must.append(edge.FieldCondition(record.PRICE, range=bounds))
    if within.in_stock:
        must.append(_equals(record.IN_STOCK, 1))
    return edge.Filter(must=must)


def population(tenant: TenantId | None, *, alive: bool | None = None, vector: str | None = None) -> edge.Filter:
    """Points of a tenant (None: of all), by life and by having a vector."""
    must: list[edge.ConditionType] = []
    if tenant is not None:
        must.append(_equals(record.TENANT, tenant))
    if alive is not None:
        must.append(_equals(record.ALIVE, int(alive)))
    if vector is not None:
        must.append(edge.HasVectorCondition(vector))
    return edge.Filter(must=must)


def _equals(key: str, value: str | int) -> edge.FieldCondition:
    return edge.FieldCondition(key, match=edge.MatchValue(value))


def _any_of(key: str, values: frozenset[str]) -> edge.FieldCondition:
    return edge.FieldCondition(key, match=edge.MatchAny(sorted(values)))
