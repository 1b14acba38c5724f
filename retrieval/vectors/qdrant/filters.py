"""What the server's queries and guards look like: the one place where a search's visibility is decided here."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from qdrant_client import models

from retrieval.filters import CatalogueFilter, Condition
from retrieval.vectors import record
from schemas.catalogue import Filter
from schemas.identity import TenantId

TENANT_CONDITION: Final = 0
"""Where among the conditions of `visible` the tenant's stands."""


def visible(catalogue_filter: CatalogueFilter) -> models.Filter:
    """The tenant's living products that meet every condition."""
    must: list[models.Condition] = [_equals(record.TENANT, catalogue_filter.tenant), _equals(record.ALIVE, 1)]
    must += map(_condition, catalogue_filter.conditions)
    return models.Filter(must=must)


def population(
    tenant: TenantId | None, *, alive: bool | None = None, vector: str | None = None
) -> models.Filter | None:
    """Points of a tenant (None: of all), by life and by having a vector; None where that is every point."""
    must: list[models.Condition] = []
    if tenant is not None:
        must.append(_equals(record.TENANT, tenant))
    if alive is not None:
        must.append(_equals(record.ALIVE, int(alive)))
    if vector is not None:
        must.append(models.HasVectorCondition(has_vector=vector))
    return models.Filter(must=must) if must else None


def ids_by_revision(expected: Mapping[str, int]) -> Mapping[int, Sequence[str]]:
    """Point ids by the revision that they are expected at."""
    ids: defaultdict[int, list[str]] = defaultdict(list)
    for point_id, rev in expected.items():
        ids[rev].append(point_id)
    return ids


def at_revisions(expected: Mapping[str, int]) -> models.Filter:
    """Guard of one request over many points: each point id only at its own revision.

    Points that expect the same revision share a branch, which means the same and keeps the filter small: it is
    converted, sent and evaluated with every request.
    """
    return models.Filter(
        should=[
            models.Filter(must=[models.HasIdCondition(has_id=list(ids)), _equals(record.REV, rev)])
            for rev, ids in ids_by_revision(expected).items()
        ]
    )


def dead_at_revisions(tombstones: Mapping[str, int]) -> models.Filter:
    """Tombstones among these point ids, each only at its own revision."""
    return models.Filter(must=[_equals(record.ALIVE, 0), at_revisions(tombstones)])


def _equals(key: str, value: str | int) -> models.FieldCondition:
    return models.FieldCondition(key=key, match=models.MatchValue(value=value))


def _condition(condition: Condition) -> models.Condition:
    key = condition.field.key
    match condition.field.filter:
        case Filter.ANY_OF:
            return models.FieldCondition(key=key, match=models.MatchAny(any=sorted(condition.values)))
        case Filter.RANGE:
            return models.FieldCondition(key=key, range=models.Range(gte=condition.low, lte=condition.high))
        case _:
            return _equals(key, 1)
