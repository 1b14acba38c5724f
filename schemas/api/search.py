"""What a search asks and what it answers."""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.api.explain import Explanation, OrderedQuantity, RetrieverName, WhyNot
from schemas.api.items import Item
from schemas.api.limits import (
    MAX_FILTER_VALUE,
    MAX_FILTER_VALUES,
    MAX_LIMIT,
    MAX_OFFSET,
    MAX_TEXT,
    TENANT_PATTERN,
)
from schemas.catalogue import FILTERABLE, Filter, completed, counts_of
from schemas.catalogue import Field as CatalogueField
from schemas.identity import MAX_SKU_LENGTH
from schemas.records.generations import MAIN

Tenant = Annotated[str, Field(pattern=TENANT_PATTERN, description="The shop whose catalogue is searched.")]
QueryText = Annotated[str, Field(max_length=MAX_TEXT, description="What the buyer typed; empty lists by filters.")]
FilterValue = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_FILTER_VALUE)]
FilterValues = Annotated[tuple[FilterValue, ...], Field(max_length=MAX_FILTER_VALUES)]
AskedGeneration = Annotated[
    str,
    Field(
        max_length=40, description="Ask a generation that is prepared but not live; empty: the live one, as buyers do."
    ),
]
Limit = Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Hits of this page.")]
Offset = Annotated[int, Field(ge=0, le=MAX_OFFSET, description="Hits to pass over.")]


def _asked_of(field: CatalogueField) -> dict[str, tuple[Any, Any]]:
    """What a request may ask of a field: parameter to type and default."""
    match field.filter:
        case Filter.RANGE:
            low, high = field.bounds
            bound = Annotated[float, Field(ge=low, le=high, allow_inf_nan=False)] | None
            words = "{} " + field.name + f", inclusive; products without {field.name} fall out."
            named = zip(field.parameters, ("Lowest", "Highest"), strict=True)
            return {name: (bound, Field(None, description=words.format(which))) for name, which in named}
        case Filter.FLAG:
            return {field.key: (bool, Field(False, description=field.description))}
        case _:
            words = f"Any of these as {field.name}: the whole of it, compared without regard to case."
            return {field.key: (FilterValues, Field((), description=words))}


_CONDITIONS: Final = {name: asked for one in FILTERABLE for name, asked in _asked_of(one).items()}


class _Conditions(BaseModel):
    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        for field in FILTERABLE:
            if field.filter is Filter.RANGE:
                low, high = (getattr(self, name) for name in field.parameters)
                if low is not None and high is not None and low > high:
                    raise ValueError(f"{' is above '.join(field.parameters)}")
        return self


@completed(_CONDITIONS)
class SearchFilters(_Conditions):
    """Conditions that every hit meets. Several brands (or categories) mean any of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SearchRequest(BaseModel):
    """The body of `POST /v1/search`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"tenant": "demo", "text": "tornillo hexagonal 8x40", "filters": {"in_stock": True}, "limit": 10},
                {"tenant": "demo", "text": "", "filters": {"brand": ["Acme"], "price_max": 25}},
            ]
        },
    )

    tenant: Tenant
    text: QueryText = ""
    filters: SearchFilters = Field(default_factory=SearchFilters)
    limit: Limit = 20
    offset: Offset = 0
    facets: bool = Field(True, description="Whether to count brands, categories, prices and stock.")
    explain: bool = Field(False, description="Whether to tell every step of the search.")
    why_not: str = Field("", max_length=MAX_SKU_LENGTH, description="A SKU: tell where it fell out, or its rank.")
    generation: AskedGeneration = ""


@completed(_CONDITIONS)
class SearchParameters(_Conditions):
    """The query string of `GET /v1/search`; `brand` and `category` may be repeated."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: Tenant
    q: QueryText = ""
    limit: Limit = 20
    offset: Offset = 0
    facets: bool = True
    explain: bool = False
    why_not: str = Field("", max_length=MAX_SKU_LENGTH)
    generation: AskedGeneration = ""

    def to_request(self) -> SearchRequest:
        """The same search as a body."""
        return SearchRequest(
            tenant=self.tenant,
            text=self.q,
            filters=SearchFilters(**{name: getattr(self, name) for name in _CONDITIONS}),
            limit=self.limit,
            offset=self.offset,
            facets=self.facets,
            explain=self.explain,
            why_not=self.why_not,
            generation=self.generation,
        )


class HitSignal(BaseModel):
    """How one retriever saw the hit."""

    model_config = ConfigDict(frozen=True)

    retriever: RetrieverName
    rank: int = Field(ge=1, description="Place in that retriever's own list.")
    raw_score: float = Field(description="BM25 score, cosine similarity, or 1 for a code; comparable only within one.")
    share: float = Field(
        ge=0, le=1, description="Part of the hit's score that this retriever gave; shares add up to 1."
    )


class HitRerank(BaseModel):
    """What the reranker did to a hit's place."""

    model_config = ConfigDict(frozen=True)

    before: int = Field(ge=1, description="Place by fusion.")
    after: int = Field(ge=1, description="Place after reranking.")
    score: float | None = Field(description="The reranker's score; null for a hit that it did not read.")


class SearchHit(BaseModel):
    """One product and why it is there."""

    model_config = ConfigDict(frozen=True)

    item: Item
    score: float = Field(
        description="Fused score (weighted reciprocal rank fusion); orders the hits of one answer that was not reranked."
    )
    signals: tuple[HitSignal, ...]
    rerank: HitRerank | None = Field(None, description="Null where no reranker could move it.")


class ValueCount(BaseModel):
    """A facet's value and how many of the answer's candidates have it."""

    model_config = ConfigDict(frozen=True)

    value: str
    count: int = Field(ge=1)


class PriceBucket(BaseModel):
    """Candidates with `low` <= price < `high`; the last bucket has no upper end."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float | None
    count: int = Field(ge=1)


@completed(counts_of(ValueCount, PriceBucket))
class SearchFacets(BaseModel):
    """Counts over exactly the `total` candidates of the answer, all filters applied; not over the whole catalogue."""

    model_config = ConfigDict(frozen=True)


class DegradedRetriever(BaseModel):
    """A retriever that did not take part in this answer, though it should have."""

    model_config = ConfigDict(frozen=True)

    retriever: RetrieverName
    reason: Literal["deadline", "unavailable", "failed"]


class RerankReport(BaseModel):
    """How far reranking came: n of m."""

    model_config = ConfigDict(frozen=True)

    model: str
    scored: int = Field(description="Candidates that the reranker read within its time budget.")
    of: int = Field(
        description="Candidates that it was to read; those not read keep the fusion's order below the others."
    )
    failed: bool = Field(description="Whether the reranker failed; the order is the fusion's then, or in part.")


class SearchResponse(BaseModel):
    """The answer to a search."""

    model_config = ConfigDict(frozen=True)

    hits: tuple[SearchHit, ...]
    total: int = Field(description="Candidates that meet every filter: how many hits can be paged through.")
    truncated: bool = Field(description="Whether a retriever reached its depth, so that more products may match.")
    facets: SearchFacets | None = Field(None, description="Null where they were not asked for.")
    degraded: tuple[DegradedRetriever, ...] = Field((), description="Empty in a full answer.")
    reranked: RerankReport | None = Field(
        None, description="Null where no reranker is configured or had anything to do."
    )
    did_you_mean: str | None = Field(None, description="The query with misspellings corrected, as it was searched.")
    quantity: OrderedQuantity | None = Field(None, description="How much of it the query asks for, as in an order.")
    low_confidence: str | None = Field(
        None, description="Why the catalogue probably cannot answer this query; null where it can."
    )
    explanation: Explanation | None = Field(None, description="Every step, where `explain` asked for it.")
    why_not: WhyNot | None = Field(None, description="What became of the SKU that `why_not` named.")
    timings_ms: dict[str, float] = Field(description="Milliseconds by stage; retrievers run side by side.")
    request_id: str = Field(description="Quote it when you report a problem.")
    generation: str = Field(MAIN, description="The generation of the indexes that the whole answer comes from.")
