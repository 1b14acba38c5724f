"""Which retrievers a query needs: the code first, then the vectors alone where they are sure. Pure.

A query that is nothing but a known code is answered by the code, and only what it names stands before the rest. Where the
dense retriever's best neighbour is near and far ahead of the eleventh, the text retriever has changed nothing worth waiting for on the
calibration queries; such a query need not run it. Both are thresholds of the settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from retrieval.search.planning.plan import QueryPlan
from retrieval.search.ranking.fusion import RankedHit
from retrieval.understanding import QueryType


class Route(StrEnum):
    """How an answer came about."""

    FULL = "full"
    """All retrievers ran and were fused."""
    CODE = "code"
    """The code lookup answered; nothing else ran."""
    DENSE = "dense"
    """The dense retriever was sure; the text retriever was not waited for."""


class RoutingSettings(BaseModel):
    """When a retriever's answer is enough."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code_first: bool = Field(True, description="Answer a query that is one known code by its lookup alone.")
    dense_first: bool = Field(False, description="Skip the text retriever where the dense retriever is sure.")
    dense_similarity: float = Field(0.93, ge=-1, le=1, description="Cosine similarity from which the best is near.")
    dense_margin: float = Field(
        0.03, ge=0, le=2, description="How far the best must be ahead of the eleventh, in similarity."
    )


@dataclass(frozen=True, slots=True)
class RouteDecision:
    """The route taken and, in a sentence, why."""

    route: Route
    reason: str


_MARGIN_RANK = 10


def code_is_enough(plan: QueryPlan, found: Sequence[RankedHit], settings: RoutingSettings) -> bool:
    """Whether the code lookup answers this query alone: the query is a code and some product has it."""
    return settings.code_first and plan.type is QueryType.CODE and len(plan.text.split()) == 1 and bool(found)


def dense_is_sure(found: Sequence[RankedHit], settings: RoutingSettings) -> bool:
    """Whether the best neighbour is near, and clearly nearer than the eleventh."""
    if not settings.dense_first or len(found) <= _MARGIN_RANK:
        return False
    best = found[0].score
    return best >= settings.dense_similarity and best - found[_MARGIN_RANK].score >= settings.dense_margin
