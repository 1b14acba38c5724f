"""Why queries fail, sorted by what would mend them: a hit that no retriever found, one that fusion lost, one ranked low."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from training.judgments.judged import JudgedSet
from training.measures.metrics import TOP_5, QueryScore

_FIRST_PAGE: Final = 5


class Cause(StrEnum):
    """Where a query without a hit among its first five lost it."""

    EMPTY = "nothing found"
    """The answer was empty."""
    MISSED = "no hit retrieved"
    """No retriever had a hit: a matter of vocabulary, spelling or analysis."""
    LOST_IN_FUSION = "lost in fusion"
    """A retriever had a hit among its first five, and the fused list put it lower: a matter of weights."""
    RANKED_LOW = "ranked low"
    """Hits were retrieved, none of them near the top by anyone: a matter of reranking."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A query without a hit among its first five; `best_rank` is that of its first hit, None where there is none."""

    score: QueryScore
    cause: Cause
    best_rank: int | None
    best_sku: str | None


def failures(scores: Sequence[QueryScore], judged: JudgedSet) -> list[Failure]:
    """The failed queries, those with the hit nearest to the top first."""
    failed = [_diagnose(score, judged) for score in scores if score.values[TOP_5] == 0 and judged.relevant(score.query)]
    return sorted(failed, key=lambda failure: (failure.best_rank is None, failure.best_rank or 0))


def causes_by_type(found: Sequence[Failure]) -> Mapping[str, Counter[Cause]]:
    """How often each cause occurs, by type of query."""
    counted: dict[str, Counter[Cause]] = {}
    for failure in found:
        counted.setdefault(failure.score.query.type or "all", Counter())[failure.cause] += 1
    return counted


def _diagnose(score: QueryScore, judged: JudgedSet) -> Failure:
    relevant = judged.relevant(score.query)
    answer = score.answer
    rank, sku = next(((rank, sku) for rank, sku in enumerate(answer.skus, start=1) if sku in relevant), (None, None))
    if not answer.skus:
        cause = Cause.EMPTY
    elif rank is None:
        cause = Cause.MISSED
    elif any(
        min(answer.found_by[sku].values(), default=rank) <= _FIRST_PAGE for sku in relevant & set(answer.found_by)
    ):
        cause = Cause.LOST_IN_FUSION
    else:
        cause = Cause.RANKED_LOW
    return Failure(score, cause, rank, sku)
