"""Tantivy queries, built from tokens and filters: user text never meets a query parser."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from tantivy import FieldType, Occur, Query

from retrieval.analysis.tokens import AnalysedText
from retrieval.filters import CatalogueFilter, fold_keyword
from retrieval.text.schema import Field, Flag, build_schema
from retrieval.text.scoring import WeightedTerm, scoring_plan
from retrieval.text.settings import FieldWeights
from schemas.identity import SkuKey, TenantId

# A query needs the fields' numbers only, and they are the same in every index that `require_compatible` lets pass.
_SCHEMA: Final = build_schema()


def term(field: str, text: str) -> Query:
    """Documents with this exact term."""
    return Query.term_query(_SCHEMA, field, text, index_option="basic")


def flagged(flag: Flag) -> Query:
    """Documents with this flag."""
    return term(Field.FLAGS, flag)


def keyed(keys: Collection[SkuKey]) -> Query:
    """The documents of these products, living or not."""
    return Query.term_set_query(_SCHEMA, Field.KEY, [str(key) for key in keys])


def living(tenant: TenantId | None = None) -> Query:
    """Living documents of one tenant, or of all."""
    return term(Field.LIVING, tenant) if tenant else flagged(Flag.ALIVE)


def buried(tenant: TenantId | None = None) -> Query:
    """Tombstones of one tenant, or of all."""
    return term(Field.BURIED, tenant) if tenant else flagged(Flag.DEAD)


def every(*queries: Query) -> Query:
    """Documents that meet all of these."""
    return queries[0] if len(queries) == 1 else Query.boolean_query([(Occur.Must, query) for query in queries])


def filtered(within: CatalogueFilter) -> Query:
    """Living documents that meet the filter; what every search is narrowed by."""
    conditions = [living(within.tenant)]
    for field, values in ((Field.BRAND, within.brands), (Field.CATEGORY, within.categories)):
        if values:
            conditions.append(Query.term_set_query(_SCHEMA, field, sorted(map(fold_keyword, values))))
    if within.price_min is not None or within.price_max is not None:
        conditions.append(Query.range_query(_SCHEMA, Field.PRICE, FieldType.Float, within.price_min, within.price_max))
    if within.in_stock:
        conditions.append(flagged(Flag.IN_STOCK))
    return every(*conditions)


def unscored(query: Query) -> Query:
    """The same documents, each worth nothing."""
    return Query.const_score_query(query, 0.0)


def ranked(query: AnalysedText, weights: FieldWeights, within: CatalogueFilter) -> Query | None:
    """The scored query over the filter; None where the text has no searchable term."""
    positions = [_position(terms, weights) for terms in scoring_plan(query, weights)]
    if not positions:
        return None
    if weights.coverage:
        positions += [Query.const_score_query(position, weights.coverage) for position in positions]
    wanted = Query.boolean_query([(Occur.Should, position) for position in positions])
    return every(wanted, unscored(filtered(within)))


def _position(terms: Iterable[WeightedTerm], weights: FieldWeights) -> Query:
    alternatives = [
        Query.boost_query(Query.term_query(_SCHEMA, term.field, term.text, index_option="freq"), term.weight)
        for term in terms
    ]
    return alternatives[0] if len(alternatives) == 1 else Query.disjunction_max_query(alternatives, weights.tie)
