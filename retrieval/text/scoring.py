"""The scoring plan of a query: which terms are looked for in which field, at what weight. Shared by all adapters.

Positions of the query are optional and add up (the more of it a product covers, the better); the alternatives of one
position do not: the best one counts, and the others add a small share.
"""

from dataclasses import dataclass

from retrieval.analysis.tokens import AnalysedText, TokenKind
from retrieval.text.content import TextField
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


def scoring_plan(query: AnalysedText, weights: FieldWeights) -> list[tuple[WeightedTerm, ...]]:
    """The weighted alternatives of each position of the query; positions without a term are left out."""
    by_field = {
        TextField.TITLE: weights.title,
        TextField.LABELS: weights.labels,
        TextField.SIZES: weights.sizes,
        TextField.CODES: weights.codes,
        TextField.BODY: weights.body,
    }
    positions: dict[int, dict[WeightedTerm, None]] = {}
    for token in query.tokens:
        terms = positions.setdefault(token.position, {})
        for field in _SEARCHED[token.kind]:
            if by_field[field] > 0:
                terms[WeightedTerm(field, token.text, by_field[field])] = None
    return [tuple(terms) for terms in positions.values() if terms]
