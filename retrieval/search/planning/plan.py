"""The plan of one search: what each retriever is asked, and how the planner came to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from retrieval.analysis.tokens import AnalysedText
from retrieval.filters import CatalogueFilter
from retrieval.spelling.dictionary import Correction
from retrieval.text.query import TextQuery
from retrieval.understanding.negation import Exclusion
from retrieval.understanding.quantity import Quantity
from retrieval.understanding.query_type import QueryType


@dataclass(frozen=True, slots=True)
class AppliedAlias:
    """An entry that rewrote a part of the query: which part, the entries' ids, and the expressions that it also means."""

    typed: str
    entries: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """What every retriever gets.

    `text` is what was typed, blanks collapsed; `core` what is searched for once asking words, quantity and exclusions are
    off it and misspellings corrected. `dense_texts` are the texts whose vectors are searched together. `unknown` are the
    words of the core that neither the catalogue nor a table knows.
    """

    text: str
    core: str
    analysed: AnalysedText
    catalogue_filter: CatalogueFilter
    type: QueryType
    text_query: TextQuery
    dense_texts: tuple[str, ...] = ()
    redirects: tuple[str, ...] = ()
    quantity: Quantity | None = None
    exclusions: tuple[Exclusion, ...] = ()
    aliases: tuple[AppliedAlias, ...] = ()
    corrections: tuple[Correction, ...] = field(default=())
    unknown: tuple[str, ...] = ()

    @property
    def did_you_mean(self) -> str | None:
        """The query with its corrections, where there are any."""
        return self.core if self.corrections else None
