"""How sure an answer is: which retrievers a query needs, and whether there may be no answer to it. Pure.

A query that is nothing but a known code is answered by the code, and only what it names stands before the rest. Where the
dense retriever's best neighbour is near and far ahead of the eleventh, the text retriever has changed nothing worth waiting for on the
calibration queries; such a query need not run it. Both are thresholds of the settings.

Some neighbour is always nearest and some word always matches, so a search for what a shop does not sell answers all the
same. A flag says so, by reasons that a person can check, and hides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from retrieval.search.planning.plan import QueryPlan
from retrieval.search.ranking.fusion import RankedHit
from retrieval.understanding import QueryType


class ConfidenceSettings(BaseModel):
    """Thresholds, chosen on judged queries that the catalogue can and cannot answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    similarity: float = Field(
        0.88, ge=-1, le=1, description="A best neighbour nearer than this answers, whatever the words say."
    )


NOTHING_FOUND: Final = "nothing was found"
UNKNOWN_WORDS: Final = "the catalogue has no such word: {words}"
NOT_TOGETHER: Final = "no product has all of these words, and none is near in meaning"


def low_confidence(
    plan: QueryPlan,
    *,
    meets_all: Callable[[], bool],
    dense: Sequence[RankedHit],
    found: bool,
    named: bool,
    settings: ConfidenceSettings,
) -> str | None:
    """Why the answer may be none; None where there is no reason to think so.

    `meets_all` asks whether some product meets every clause of the query, and is called only where it matters. `dense`: the neighbours (empty where the retriever did not run).
    `named`: some code or redirect of the query was found.
    """
    if not plan.text:
        return None
    if not found:
        return NOTHING_FOUND
    if named:
        return None
    if (dense and dense[0].score >= settings.similarity) or meets_all():
        return None
    if plan.unknown:
        return UNKNOWN_WORDS.format(words=", ".join(plan.unknown))
    return NOT_TOGETHER if dense else None


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
