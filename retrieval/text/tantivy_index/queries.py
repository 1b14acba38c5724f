"""Tantivy queries, built from tokens and filters: user text never meets a query parser."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from tantivy import FieldType, Occur, Query

from retrieval.analysis.tokens import Token
from retrieval.filters import CatalogueFilter, Condition
from retrieval.text.query import TextQuery
from retrieval.text.scoring import (
    ScoredAlternative,
    ScoredExclusion,
    WeightedTerm,
    exclusions,
    named_positions,
    scoring_plan,
)
from retrieval.text.settings import FieldWeights
from retrieval.text.tantivy_index.schema import Field, Flag, build_schema
from schemas.catalogue import Filter
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


def filtered(catalogue_filter: CatalogueFilter) -> Query:
    """Living documents that meet the filter; what every search is narrowed by."""
    return every(living(catalogue_filter.tenant), *map(_condition, catalogue_filter.conditions))


def _condition(condition: Condition) -> Query:
    key = condition.field.key
    match condition.field.filter:
        case Filter.ANY_OF:
            return Query.term_set_query(_SCHEMA, key, sorted(condition.values))
        case Filter.RANGE:
            return Query.range_query(_SCHEMA, key, FieldType.Float, condition.low, condition.high)
        case _:
            return term(Field.FLAGS, key)


def unscored(query: Query) -> Query:
    """The same documents, each worth nothing."""
    return Query.const_score_query(query, 0.0)


def ranked(query: TextQuery, weights: FieldWeights, catalogue_filter: CatalogueFilter) -> Query | None:
    """The scored query over the filter; None where the text has no searchable term."""
    clauses = [_clause(alternatives, weights) for alternatives in scoring_plan(query, weights)]
    if not clauses:
        return None
    wanted = Query.boolean_query([(Occur.Should, clause) for clause in clauses])
    unwanted = [(Occur.MustNot, _unwanted(exclusion)) for exclusion in exclusions(query, weights)]
    return Query.boolean_query([(Occur.Must, wanted), (Occur.Must, unscored(filtered(catalogue_filter))), *unwanted])


def excluded(query: TextQuery, weights: FieldWeights) -> Query | None:
    """Documents that hold something that the query excludes; None where it excludes nothing."""
    unwanted = [(Occur.Should, _unwanted(exclusion)) for exclusion in exclusions(query, weights)]
    return unscored(Query.boolean_query(unwanted)) if unwanted else None


def meeting_all(query: TextQuery, weights: FieldWeights) -> Query | None:
    """Documents that meet every clause that was asked for, each by a whole alternative; None where there is none."""
    asked = TextQuery(tuple(clause for clause in query.clauses if not clause.extra))
    wanted = [
        Query.boolean_query([(Occur.Should, _having(alternative.positions)) for alternative in alternatives])
        for alternatives in scoring_plan(asked, weights)
    ]
    return every(*wanted) if wanted else None


def holding_all(tokens: Sequence[Token], weights: FieldWeights) -> Query | None:
    """Documents that are named with all of these tokens; None where there are none."""
    wanted = named_positions(tokens, weights)
    return _having(wanted) if wanted else None


def _clause(alternatives: Sequence[ScoredAlternative], weights: FieldWeights) -> Query:
    scored = [_alternative(alternative, weights) for alternative in alternatives]
    return scored[0] if len(scored) == 1 else Query.disjunction_max_query(scored, weights.tie)


def _alternative(alternative: ScoredAlternative, weights: FieldWeights) -> Query:
    occur = Occur.Must if alternative.whole else Occur.Should
    parts = []
    for terms in alternative.positions:
        position = _position(terms, weights)
        parts.append((occur, position))
        if alternative.coverage:
            parts.append((Occur.Should, Query.const_score_query(position, alternative.coverage)))
    return parts[0][1] if len(parts) == 1 else Query.boolean_query(parts)


def _unwanted(exclusion: ScoredExclusion) -> Query:
    unwanted = _having(exclusion.positions)
    if not exclusion.unless:
        return unwanted
    denied = [(Occur.MustNot, term(one.field, one.text)) for one in exclusion.unless]
    return Query.boolean_query([(Occur.Must, unwanted), *denied])


def _having(positions: Iterable[Iterable[WeightedTerm]]) -> Query:
    """Documents that fill all of these positions, unscored."""
    filled = [Query.boolean_query([(Occur.Should, term(one.field, one.text)) for one in terms]) for terms in positions]
    return every(*filled)


def _position(terms: Iterable[WeightedTerm], weights: FieldWeights) -> Query:
    alternatives = [
        Query.boost_query(Query.term_query(_SCHEMA, term.field, term.text, index_option="freq"), term.weight)
        for term in terms
    ]
    return alternatives[0] if len(alternatives) == 1 else Query.disjunction_max_query(alternatives, weights.tie)
