"""What Edge's queries look like: the one place where a search's visibility is decided here."""

from __future__ import annotations

import qdrant_edge as edge

from retrieval.filters import CatalogueFilter, Condition
from retrieval.vectors import record
from schemas.catalogue import Filter
from schemas.identity import TenantId


def visible(catalogue_filter: CatalogueFilter) -> edge.Filter:
    """The tenant's living products that meet every condition."""
    must: list[edge.ConditionType] = [_equals(record.TENANT, catalogue_filter.tenant), _equals(record.ALIVE, 1)]
    must += map(_condition, catalogue_filter.conditions)
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


def _condition(condition: Condition) -> edge.ConditionType:
    key = condition.field.key
    match condition.field.filter:
        case Filter.ANY_OF:
            return edge.FieldCondition(key, match=edge.MatchAny(sorted(condition.values)))
        case Filter.RANGE:
            return edge.FieldCondition(key, range=edge.RangeFloat(gte=condition.low, lte=condition.high))
        case _:
            return _equals(key, 1)
