"""The plan of one search: what each retriever is asked, how the planner came to it, and which steps it may take."""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from retrieval.analysis.tokens import AnalysedText
from retrieval.filters import CatalogueFilter
from retrieval.spelling import Correction
from retrieval.text.query import TextQuery
from retrieval.understanding import Exclusion, QueryType
from schemas.api.explain import OrderedQuantity


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
    quantity: OrderedQuantity | None = None
    exclusions: tuple[Exclusion, ...] = ()
    aliases: tuple[AppliedAlias, ...] = ()
    corrections: tuple[Correction, ...] = field(default=())
    unknown: tuple[str, ...] = ()

    @property
    def did_you_mean(self) -> str | None:
        """The query with its corrections, where there are any."""
        return self.core if self.corrections else None


class PlanningSettings(BaseModel):
    """Each step can be switched off by itself, for measuring what it gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    aliases: bool = Field(True, description="Search what the alias tables say that an expression also means.")
    spelling: bool = Field(True, description="Correct words that neither the catalogue nor a table knows.")
    negation: bool = Field(True, description="Rule out what `no`, `que no sea` and `sin` name.")
    quantity: bool = Field(True, description="Take asking words and quantities off the query.")
    dense_rewriting: bool = Field(True, description="Search the vectors also in the words that the catalogue uses.")
    synonym_weight: float = Field(0.8, ge=0, le=1, description="Weight of a two-way synonym beside the typed word's 1.")
    alias_weight: float = Field(0.6, ge=0, le=1, description="Weight of a word that may mean something else as well.")
    quantity_weight: float = Field(1.0, ge=0, le=1, description="Weight of the number and package taken off.")
    dense_rewriting_margin: float = Field(
        1.0, ge=0, description="How many times more products the rewriting must name than the typed words do."
    )
