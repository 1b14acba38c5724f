"""The settings of hybrid search: how the retrievers weigh, how deep they look and how long they may take."""

from enum import StrEnum
from typing import Any, Final

import structlog
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from retrieval.rerank.port import RerankSettings
from retrieval.search.planning.plan import PlanningSettings
from retrieval.search.ranking.confidence import ConfidenceSettings, RoutingSettings
from retrieval.understanding import QueryType
from schemas.api.explain import RetrieverName

log = structlog.get_logger(__name__)

_FORMER: Final = "query_vector_cache"
_FORMER_ENTRY_BYTES: Final = 2_048


def _default_weights() -> dict[RetrieverName, float]:
    return {
        RetrieverName.REDIRECT: 10.0,
        RetrieverName.CODE: 3.0,
        RetrieverName.TEXT: 1.0,
        RetrieverName.DENSE: 0.7,
        RetrieverName.SPARSE: 1.0,
        RetrieverName.LIST: 1.0,
    }


def _default_type_weights() -> dict[QueryType, dict[RetrieverName, float]]:
    return {}


class FusionMethod(StrEnum):
    """The ways of making one list of several."""

    RRF = "rrf"
    SCORES = "scores"


class SearchSettings(BaseModel):
    """Defaults that suit catalogues up to some hundred thousand products a tenant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fusion: FusionMethod = Field(FusionMethod.RRF, description="How the retrievers' lists become one: rrf or scores.")
    rrf_k: float = Field(10.0, gt=0, description="The constant of reciprocal rank fusion; larger flattens the ranks.")
    weights: dict[RetrieverName, float] = Field(
        default_factory=_default_weights,
        description="Weight by retriever; 0 switches one off, one that is not named keeps its default. An exact code weighs "
        "more than the first ranks of text and dense together, so that a code that is typed whole comes first.",
    )
    type_weights: dict[QueryType, dict[RetrieverName, float]] = Field(
        default_factory=_default_type_weights,
        description="Factors on the weights by type of query, which a small transparent classifier tells.",
    )
    planning: PlanningSettings = Field(
        default_factory=PlanningSettings, description="Reading and rewriting of queries."
    )
    routing: RoutingSettings = Field(default_factory=RoutingSettings, description="When a retriever is enough.")
    confidence: ConfidenceSettings = Field(
        default_factory=ConfidenceSettings, description="When an answer says of itself that it may not be one."
    )
    rerank: RerankSettings = Field(default_factory=RerankSettings, description="Reranking by a cross-encoder.")
    depth: int = Field(100, ge=1, le=1000, description="Products that a retriever gives at most.")
    list_depth: int = Field(300, ge=1, le=5000, description="Products that a listing without query text gives at most.")
    code_depth: int = Field(20, ge=1, le=1000, description="Products that one code may stand for at most.")
    deadline_s: float = Field(
        0.5, gt=0, le=60, description="Seconds that a retriever may take; a later one is left out and reported."
    )
    hydration_deadline_s: float = Field(2.0, gt=0, le=60, description="Seconds that reading the hits may take.")
    reader_threads: int = Field(4, ge=1, le=64, description="Threads for reading the text index.")
    encoder_threads: int = Field(2, ge=1, le=64, description="Queries that are encoded at the same time.")
    query_cache_bytes: int = Field(
        16 * 1024 * 1024,
        ge=0,
        description="Bytes of query vectors that are kept, some 8,000 of 384 dimensions; 0 keeps none.",
    )
    facet_values: int = Field(30, ge=1, le=1000, description="Brands and categories that a facet lists at most.")
    price_buckets: int = Field(5, ge=2, le=20, description="Price ranges that the facet aims at.")

    @field_validator("weights")
    @classmethod
    def _beside_the_defaults(cls, named: dict[RetrieverName, float]) -> dict[RetrieverName, float]:
        return _default_weights() | named

    @model_validator(mode="before")
    @classmethod
    def _of_the_release_before(cls, given: Any) -> Any:
        """`query_vector_cache` counted vectors; it is read for one release, as so many times what a vector takes."""
        if not isinstance(given, dict) or _FORMER not in given:
            return given
        log.warning("setting has a new name", former=f"search.{_FORMER}", now="search.query_cache_bytes")
        rest = {name: value for name, value in given.items() if name != _FORMER}
        return {"query_cache_bytes": int(given[_FORMER]) * _FORMER_ENTRY_BYTES, **rest}

    def weights_for(self, query_type: QueryType) -> dict[RetrieverName, float]:
        """The weight of every retriever for one type of query."""
        factors = self.type_weights.get(query_type, {})
        return {name: self.weight(name) * factors.get(name, 1.0) for name in RetrieverName}

    def weight(self, retriever: RetrieverName) -> float:
        """The weight of one retriever in the fusion."""
        return self.weights[retriever]
