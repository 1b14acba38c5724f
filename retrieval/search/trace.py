"""The trace of one search, kept for those who ask why: what each step did, and its milliseconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.search.planning.plan import QueryPlan
from retrieval.search.ranking.fusion import FusedCandidate
from retrieval.search.ranking.reranking import Reranked
from retrieval.search.ranking.routing import RouteDecision
from retrieval.search.retrievers.fanout import RetrieverOutcome
from schemas.api.explain import RetrieverName
from schemas.identity import SkuKey


@dataclass(frozen=True, slots=True)
class SearchTrace:
    """The plan, every retriever's outcome, the fused list before the replica's check, and what was taken out of it.

    `excluded` are candidates that hold what the query rules out; `reranked` is None where no reranker had anything to do.
    """

    plan: QueryPlan
    decision: RouteDecision
    outcomes: Sequence[RetrieverOutcome]
    weights: dict[RetrieverName, float]
    fused: Sequence[FusedCandidate]
    excluded: frozenset[SkuKey]
    reranked: Reranked | None = None


class Stopwatch:
    """Starts when it is made; `lap` closes a stage under its name."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """What has passed since the last lap belongs to this stage."""
        now = time.perf_counter()
        self.laps[stage] = _milliseconds(self._last, now)
        self._last = now

    def skip(self) -> None:
        """What has passed since the last lap belongs to no stage."""
        self._last = time.perf_counter()

    def total(self) -> float:
        """All that has passed."""
        return _milliseconds(self._started, time.perf_counter())


def _milliseconds(start: float, end: float) -> float:
    return round((end - start) * 1000, 3)
