"""How a search came to its answer, by which retrievers, and why a product is not in it."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RetrieverName(StrEnum):
    """The ways in which a product can be found."""

    CODE = "code"
    """Its SKU, EAN or part number is in the query."""
    TEXT = "text"
    """Its words match (BM25)."""
    DENSE = "dense"
    """Its meaning is near (vector search)."""
    SPARSE = "sparse"
    """Words that its text stands for weigh like the query's (learned sparse vectors)."""
    REDIRECT = "redirect"
    """The shop put it first for exactly this query."""
    LIST = "list"
    """There was no query text: it meets the filters."""


class OrderedQuantity(BaseModel):
    """The quantity of an order-like query."""

    model_config = ConfigDict(frozen=True)

    count: int = Field(ge=1)
    package: str = Field("", description="Package or measure, as typed; empty: of the thing itself.")


class ExplainedToken(BaseModel):
    """A term that is looked for."""

    model_config = ConfigDict(frozen=True)

    text: str
    kind: str
    position: int


class ExplainedAlias(BaseModel):
    """Entries of the alias table that rewrote a part of the query."""

    model_config = ConfigDict(frozen=True)

    typed: str
    entries: tuple[str, ...]
    targets: tuple[str, ...]


class ExplainedCorrection(BaseModel):
    """A word that the catalogue does not know, and what it was taken for."""

    model_config = ConfigDict(frozen=True)

    written: str
    meant: str
    cost: float = Field(description="Edits between the two, weighted; smaller is surer.")


class ExplainedHit(BaseModel):
    """A product in a retriever's list."""

    model_config = ConfigDict(frozen=True)

    sku: str
    rank: int
    raw_score: float


class ExplainedRetriever(BaseModel):
    """What one retriever gave."""

    model_config = ConfigDict(frozen=True)

    retriever: RetrieverName
    weight: float
    found: int
    milliseconds: float
    degraded: str | None = None
    hits: tuple[ExplainedHit, ...] = Field(description="The first of its list.")


class ExplainedMove(BaseModel):
    """A candidate that the reranker could move."""

    model_config = ConfigDict(frozen=True)

    sku: str
    before: int = Field(description="Its place by fusion, from 1, among the candidates that live and meet the filter.")
    after: int = Field(description="Its place after reranking.")
    score: float | None = Field(description="The reranker's score; null where the time budget did not reach it.")


class ExplainedRerank(BaseModel):
    """What a reranker made of the first candidates."""

    model_config = ConfigDict(frozen=True)

    model: str
    revision: str
    query: str = Field(description="The text that was read together with each product.")
    scored: int
    of: int
    failed: bool
    milliseconds: float
    moves: tuple[ExplainedMove, ...] = Field(description="Every candidate within the depth, in the new order.")


class Explanation(BaseModel):
    """Every step of one search."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="The type that the query was taken for; it decides the weights.")
    searched: str = Field(description="The text that was searched once quantity and exclusions were off it.")
    tokens: tuple[ExplainedToken, ...]
    aliases: tuple[ExplainedAlias, ...] = ()
    corrections: tuple[ExplainedCorrection, ...] = ()
    unknown: tuple[str, ...] = Field((), description="Words that neither the catalogue nor a table knows.")
    excluded: tuple[str, ...] = Field((), description="Words that the query rules out.")
    excluded_products: int = Field(0, description="Candidates that were taken out since they have such a word.")
    dense_texts: tuple[str, ...] = Field((), description="Texts whose vectors were searched together.")
    route: str
    route_reason: str
    fusion: str
    retrievers: tuple[ExplainedRetriever, ...]
    fused: int = Field(description="Candidates after fusion, before the replica's check.")
    rerank: ExplainedRerank | None = Field(None, description="Null where nothing was reranked.")


WhyNotVerdict = Literal[
    "shown", "on_another_page", "not_indexed", "deleted", "filtered", "excluded", "not_retrieved", "gone_meanwhile"
]


class WhyNot(BaseModel):
    """What became of one product in one search."""

    model_config = ConfigDict(frozen=True)

    sku: str
    verdict: WhyNotVerdict
    reason: str = Field(description="The verdict in a sentence.")
    rank: int | None = Field(None, description="Its place in the answer, from 1, where it has one.")
    ranks: dict[RetrieverName, int] = Field(default_factory=dict, description="Its place in each retriever's list.")


class AnalysedLexeme(BaseModel):
    """A piece of the folded text."""

    model_config = ConfigDict(frozen=True)

    kind: str
    text: str


class AnalyseRequest(BaseModel):
    """The body of `POST /v1/analyze`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str
    text: str = Field(max_length=512)


class AnalyseResponse(BaseModel):
    """What each stage makes of a text, and how a search would be planned."""

    model_config = ConfigDict(frozen=True)

    folded: str
    spelled: str = Field(description="With spoken fractions in digits.")
    lexemes: tuple[AnalysedLexeme, ...]
    tokens: tuple[ExplainedToken, ...]
    type: str
    searched: str
    quantity: OrderedQuantity | None = None
    aliases: tuple[ExplainedAlias, ...] = ()
    corrections: tuple[ExplainedCorrection, ...] = ()
    unknown: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    dense_texts: tuple[str, ...] = ()


class Suggestion(BaseModel):
    """A completion of what was typed so far."""

    model_config = ConfigDict(frozen=True)

    text: str
    products: int = Field(description="Products that have the completed word.")


class SuggestResponse(BaseModel):
    """Completions, the most frequent first."""

    model_config = ConfigDict(frozen=True)

    suggestions: tuple[Suggestion, ...]
