"""The stage between fusion and hydration: a cross-encoder puts the best candidates into a better order.

What moves, and what does not, is decided here and nowhere else:

- of the first `depth` candidates, those that live and meet the filter are scored, best first, as far as the time budget goes;
- scored candidates change places among themselves, by score (equal scores: as fused); what was not scored follows, as fused;
- a product that the query names by code or redirect keeps its place: a cross-encoder knows no codes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from retrieval.filters import CatalogueFilter, meets
from retrieval.passages import passage_text
from retrieval.rerank.port import Reranker, RerankerRevision, RerankSettings
from retrieval.rerank.timed import TimedReranker
from retrieval.search.planning.plan import QueryPlan
from retrieval.search.ranking.fusion import FusedCandidate
from retrieval.text.port import TextIndexReader
from schemas.api.explain import RetrieverName
from schemas.documents import SearchDocument
from schemas.identity import SkuKey

EXACT: Final = frozenset({RetrieverName.CODE, RetrieverName.REDIRECT})
"""The retrievers that find what the query names, rather than what is like it."""


@dataclass(frozen=True, slots=True)
class RankChange:
    """A candidate's place (from 1, among the living) before and after reranking, and its score; None where it has none."""

    before: int
    after: int
    score: float | None


@dataclass(frozen=True, slots=True)
class Reranked:
    """What reranking did: `scored` of `of` candidates were read before the time was up.

    `order` is the whole list as it goes on to the hydration; `changes` has the candidates within the depth.
    """

    revision: RerankerRevision
    query: str
    scored: int
    of: int
    failed: bool
    milliseconds: float
    order: Sequence[FusedCandidate]
    changes: Mapping[SkuKey, RankChange] = field(default_factory=dict)
    documents: Mapping[SkuKey, SearchDocument] = field(default_factory=dict, repr=False)
    """Those that were read for it, which the hydration need not read again."""

    @property
    def partial(self) -> bool:
        """Whether some candidate was not scored."""
        return self.scored < self.of


class ReadOffLoop(Protocol):
    """Runs a blocking read of the replica off the event loop."""

    def __call__(
        self, work: Callable[[], Mapping[SkuKey, SearchDocument]], /
    ) -> Awaitable[Mapping[SkuKey, SearchDocument]]:
        """Its result."""
        ...


class RerankStage:
    """Reranks the candidates of a search with one reranker; `close` ends its threads."""

    def __init__(self, reranker: Reranker, reader: TextIndexReader, settings: RerankSettings) -> None:
        self.revision = reranker.revision
        self._reader = reader
        self._depth = settings.depth
        self._timed = TimedReranker(reranker, settings)

    async def rerank(
        self,
        plan: QueryPlan,
        candidates: Sequence[FusedCandidate],
        catalogue_filter: CatalogueFilter,
        read: ReadOffLoop,
        *,
        without: frozenset[SkuKey] = frozenset(),
    ) -> Reranked | None:
        """The candidates in their new order; None where there is nothing to reorder. Those in `without` go to the end, unread.

        The query is read in the catalogue's own words where an alias rewrote it: a cross-encoder knows no regional names.
        """
        if not plan.text:
            return None
        block = [one for one in candidates if one.key not in without][: self._depth]
        documents = await read(lambda: self._reader.fetch([candidate.key for candidate in block]))
        living = [
            one for one in block if (found := documents.get(one.key)) is not None and meets(found, catalogue_filter)
        ]
        movable = [one for one in living if not is_exact(one)]
        if len(movable) < 2:
            return None
        query = plan.dense_texts[-1] if plan.dense_texts else plan.core
        scored = await self._timed.score(query, [passage_text(documents[one.key]) for one in movable])
        scores = {one.key: score for one, score in zip(movable, scored.scores, strict=False)}
        order = reordered(living, scores)
        read_keys = {one.key for one in block}
        before = {one.key: place for place, one in enumerate(living, start=1)}
        return Reranked(
            revision=self.revision,
            query=query,
            scored=len(scores),
            of=len(movable),
            failed=scored.failed,
            milliseconds=scored.milliseconds,
            order=[*order, *(one for one in candidates if one.key not in read_keys)],
            changes={
                one.key: RankChange(before[one.key], place, scores.get(one.key))
                for place, one in enumerate(order, start=1)
            },
            documents=documents,
        )

    def close(self) -> None:
        """End the threads."""
        self._timed.close()


def is_exact(candidate: FusedCandidate) -> bool:
    """Whether the query names this product by code or redirect."""
    return any(part.retriever in EXACT for part in candidate.contributions)


def reordered(living: Sequence[FusedCandidate], scores: Mapping[SkuKey, float]) -> list[FusedCandidate]:
    """The candidates with those that are not exact in the order of their scores, the unscored after them as fused. Pure."""
    movable = [one for one in living if not is_exact(one)]
    # A stable sort: equal scores, and all that have none, stay as they were.
    moved = iter(sorted(movable, key=lambda one: (one.key not in scores, -scores.get(one.key, 0.0))))
    return [one if is_exact(one) else next(moved) for one in living]
