"""The scoring plan of a query: which terms are looked for in which field, at what weight. Shared by all adapters.

Clauses are optional and add up (the more of the query a product covers, the better); the alternatives of one clause do
not, nor do those of one position: the best one counts, and the others add a small share.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from retrieval.analysis.tokens import Token, TokenKind
from retrieval.text.content import TextField
from retrieval.text.query import Alternative, TextQuery, Unwanted
from retrieval.text.settings import FieldWeights

_SEARCHED = {
    TokenKind.WORD: (TextField.TITLE, TextField.LABELS, TextField.BODY),
    TokenKind.NUMBER: (TextField.TITLE, TextField.BODY),
    TokenKind.MEASURE: (TextField.SIZES, TextField.BODY),
    TokenKind.CODE: (TextField.CODES, TextField.BODY),
}


@dataclass(frozen=True, slots=True)
class WeightedTerm:
    """One term in one field and the factor on its BM25 score."""

    field: TextField
    text: str
    weight: float


@dataclass(frozen=True, slots=True)
class ScoredAlternative:
    """Positions, each with the terms that may fill it, and what filling one is worth beside its terms' scores.

    `whole`: it counts only where every position is filled.
    """

    positions: tuple[tuple[WeightedTerm, ...], ...]
    coverage: float
    whole: bool


ScoringPlan = list[tuple[ScoredAlternative, ...]]
"""The alternatives of each clause."""


def scoring_plan(query: TextQuery, weights: FieldWeights) -> ScoringPlan:
    """The weighted terms of each clause; alternatives and clauses without a term are left out."""
    plan = []
    for clause in query.clauses:
        found = (_scored(alternative, clause.width, weights) for alternative in clause.alternatives)
        if scored := tuple(alternative for alternative in found if alternative is not None):
            plan.append(scored)
    return plan


@dataclass(frozen=True, slots=True)
class ScoredExclusion:
    """Terms that a product may not have all of where it is named, unless it has one of `unless`."""

    positions: tuple[tuple[WeightedTerm, ...], ...]
    unless: tuple[WeightedTerm, ...]


def exclusions(query: TextQuery, weights: FieldWeights) -> tuple[ScoredExclusion, ...]:
    """What no hit may hold, looked for where a product is named: descriptions mention what is not there."""
    found = (ScoredExclusion(named_positions(one.tokens, weights), _denials(one)) for one in query.excluded)
    return tuple(exclusion for exclusion in found if exclusion.positions)


def named_positions(tokens: Iterable[Token], weights: FieldWeights) -> tuple[tuple[WeightedTerm, ...], ...]:
    """The positions of these tokens as terms of title, brand, category, sizes and codes."""
    named = weights.model_copy(update={"body": 0.0})
    scored = _scored(Alternative(tuple(tokens)), 1, named)
    return scored.positions if scored is not None else ()


def _denials(unwanted: Unwanted) -> tuple[WeightedTerm, ...]:
    return tuple(WeightedTerm(TextField.TITLE, word, 1.0) for word in unwanted.unless)


def _scored(alternative: Alternative, width: int, weights: FieldWeights) -> ScoredAlternative | None:
    by_position: dict[int, list[Token]] = {}
    for token in alternative.tokens:
        by_position.setdefault(token.position, []).append(token)
    # A rewriting of two words for one, or of one for two, is worth what the typed words are, not their number.
    factor = alternative.weight * (width / len(by_position) if alternative.whole and by_position else 1.0)
    found = (_terms(tokens, factor, weights) for tokens in by_position.values())
    positions = tuple(terms for terms in found if terms)
    if not positions or (alternative.whole and len(positions) < len(by_position)):
        return None
    coverage = weights.coverage * alternative.weight * width / len(positions)
    return ScoredAlternative(positions, coverage, alternative.whole)


def _terms(tokens: Iterable[Token], factor: float, weights: FieldWeights) -> tuple[WeightedTerm, ...]:
    by_field = {
        TextField.TITLE: weights.title,
        TextField.LABELS: weights.labels,
        TextField.SIZES: weights.sizes,
        TextField.CODES: weights.codes,
        TextField.BODY: weights.body,
    }
    terms: dict[WeightedTerm, None] = {}
    for token in tokens:
        for field in _SEARCHED[token.kind]:
            if by_field[field] > 0:
                terms[WeightedTerm(field, token.text, by_field[field] * factor)] = None
    return tuple(terms)
