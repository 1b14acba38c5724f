"""Fusion: several ranked lists become one, by reciprocal ranks or by scores made comparable. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from schemas.api.explain import RetrieverName
from schemas.identity import SkuKey


@dataclass(frozen=True, slots=True)
class RankedHit:
    """A product in one retriever's list, with the score that this retriever gave (comparable only within the list)."""

    key: SkuKey
    score: float


@dataclass(frozen=True, slots=True)
class Contribution:
    """One retriever's part in a fused candidate: rank (from 1), raw score, and share of the fused score (0 to 1)."""

    retriever: RetrieverName
    rank: int
    raw_score: float
    share: float


_Part = tuple[float, int, RetrieverName, float]
"""One list's part in a candidate: gain, rank, retriever, raw score."""


@dataclass(frozen=True, slots=True)
class FusedCandidate:
    """A product after fusion; `contributions` go from the largest share to the smallest."""

    key: SkuKey
    score: float
    contributions: tuple[Contribution, ...]


def weighted_rrf(
    lists: Mapping[RetrieverName, Sequence[RankedHit]], *, k: float, weights: Mapping[RetrieverName, float]
) -> list[FusedCandidate]:
    """Fuse ranked lists, best first.

    A product's score is the sum over the lists that hold it of `weight / (k + rank)`, rank from 1: reciprocal rank
    fusion (Cormack, Clarke and Buettcher, *Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning
    Methods*, SIGIR 2009, there with k = 60 and equal weights), with a weight per list (1 where none is named). A list
    of weight 0 takes no part. Where a list names a product twice, its better rank counts.

    Ties go to the better single rank, then to the smaller key, and sums are exactly rounded: the result depends
    neither on the order of the lists nor on the run.
    """
    gains = {retriever: [1 / (k + rank) for rank in range(1, len(hits) + 1)] for retriever, hits in lists.items()}
    return _fused(lists, gains, weights)


def weighted_scores(
    lists: Mapping[RetrieverName, Sequence[RankedHit]], *, weights: Mapping[RetrieverName, float]
) -> list[FusedCandidate]:
    """Fuse by normalised scores, best first: a product's score is the weighted sum of its scores over the lists.

    Cosine similarities of one query lie in a narrow band, so they are stretched from the list's lowest to its highest
    (min-max); other scores are divided by the list's highest, which keeps 0 as "nothing matches" (after Fox and Shaw's
    CombSUM, *Combination of Multiple Searches*, TREC-2, 1994). A list whose scores are all equal counts 1 for each.
    """
    gains = {retriever: _normalised(retriever, hits) for retriever, hits in lists.items()}
    return _fused(lists, gains, weights)


def _normalised(retriever: RetrieverName, hits: Sequence[RankedHit]) -> list[float]:
    if not hits:
        return []
    scores = [hit.score for hit in hits]
    high = max(scores)
    low = min(scores) if retriever is RetrieverName.DENSE else 0.0
    return [(score - low) / (high - low) if high > low else 1.0 for score in scores]


def _fused(
    lists: Mapping[RetrieverName, Sequence[RankedHit]],
    gains: Mapping[RetrieverName, Sequence[float]],
    weights: Mapping[RetrieverName, float],
) -> list[FusedCandidate]:
    found: dict[SkuKey, list[_Part]] = {}
    for retriever, hits in lists.items():
        weight = weights.get(retriever, 1.0)
        if weight <= 0:
            continue
        for rank, (hit, gain) in enumerate(zip(hits, gains[retriever], strict=True), start=1):
            part = (weight * gain, rank, retriever, hit.score)
            parts = found.setdefault(hit.key, [])
            # The lists come one after the other: a part of this list is the last one, and is the better one.
            if not parts or parts[-1][2] is not retriever:
                parts.append(part)
    scored = [(_total(parts), key, parts) for key, parts in found.items()]
    scored.sort(key=_order)
    return [FusedCandidate(key, score, _contributions(parts, score)) for score, key, parts in scored]


def _total(parts: Sequence[_Part]) -> float:
    return parts[0][0] if len(parts) == 1 else math.fsum(part[0] for part in parts)


def _order(entry: tuple[float, SkuKey, Sequence[_Part]]) -> tuple[float, int, str, str]:
    """Best score, then best single rank, then the key; its parts as strings, which compare without a call of ours."""
    score, key, parts = entry
    best = parts[0][1] if len(parts) == 1 else min(part[1] for part in parts)
    return -score, best, key.tenant, key.sku


def _contributions(parts: Sequence[_Part], score: float) -> tuple[Contribution, ...]:
    by_share = parts if len(parts) == 1 else sorted(parts, key=lambda part: (-part[0], part[2]))
    return tuple(
        [Contribution(retriever, rank, raw, gain / score if score else 0.0) for gain, rank, retriever, raw in by_share]
    )
