"""From fused keys to documents: the text replica has the last word on what lives and what meets the filter.

The vector store and the replica follow the same log at their own pace, so a neighbour may have been deleted, or priced
out of the filter, in the store that is ahead. Candidates are checked against the replica before they are counted, and
each document as it is shown, since the replica may reload between the two reads.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeGuard

from retrieval.filters import CatalogueFilter, fold_keyword
from retrieval.search.ranking.fusion import FusedCandidate
from retrieval.text.port import TextIndexReader
from retrieval.text.query import TextQuery
from schemas.documents import SearchDocument
from schemas.identity import SkuKey


@dataclass(frozen=True, slots=True)
class Hydrated:
    """`page` has the candidates of the page with their documents; `counted` the documents that facets count.

    `total` is the number of candidates that live and meet the filter.
    """

    page: tuple[tuple[FusedCandidate, SearchDocument], ...]
    counted: tuple[SearchDocument, ...]
    total: int


class CandidateReads:
    """What the replica says of one query's candidates, each thing read once, by whichever stage asks first. Blocking."""

    def __init__(self, reader: TextIndexReader, query: TextQuery, candidates: Sequence[FusedCandidate]) -> None:
        self._reader = reader
        self._query = query
        self._candidates = candidates
        self._documents: dict[SkuKey, SearchDocument | None] = {}

    @cached_property
    def excluded(self) -> frozenset[SkuKey]:
        """The candidates that the query rules out."""
        if not self._query.excluded:
            return frozenset()
        return self._reader.excluded([candidate.key for candidate in self._candidates], self._query)

    def document(self, key: SkuKey) -> SearchDocument | None:
        """One of the documents that were read; None where the replica has none, or it was not read."""
        return self._documents.get(key)

    def read(self, candidates: Sequence[FusedCandidate]) -> None:
        """Read the documents of these candidates, those of them that were not read yet."""
        missing = [candidate.key for candidate in candidates if candidate.key not in self._documents]
        if missing:
            self._documents |= dict.fromkeys(missing) | dict(self._reader.fetch(missing))

    def matching(self, candidates: Sequence[FusedCandidate], within: CatalogueFilter) -> Collection[SkuKey]:
        """Those of the candidates that live and meet the filter."""
        return self._reader.matching([candidate.key for candidate in candidates], within)


def hydrate(
    reads: CandidateReads,
    candidates: Sequence[FusedCandidate],
    *,
    within: CatalogueFilter,
    offset: int,
    limit: int,
    everything: bool,
) -> Hydrated:
    """Check the candidates, then read the documents of the page, or of all candidates where `everything` is asked for.

    Blocking: run it off the event loop.
    """
    candidates = [candidate for candidate in candidates if candidate.key not in reads.excluded]
    if everything:
        reads.read(candidates)
        kept = [candidate for candidate in candidates if _shown(reads.document(candidate.key), within)]
    else:
        valid = reads.matching(candidates, within)
        kept = [candidate for candidate in candidates if candidate.key in valid]
    page = kept[offset : offset + limit]
    reads.read(page)
    return Hydrated(
        page=tuple(
            (candidate, document) for candidate in page if _shown(document := reads.document(candidate.key), within)
        ),
        counted=tuple(filter(None, (reads.document(candidate.key) for candidate in kept))) if everything else (),
        total=len(kept),
    )


def meets(document: SearchDocument, within: CatalogueFilter) -> bool:
    """Whether a stored document is alive and meets the filter: the definition in `CatalogueFilter`, on one document."""
    if document.deleted or document.tenant != within.tenant:
        return False
    if within.brands and fold_keyword(document.brand) not in within.brands:
        return False
    if within.categories and fold_keyword(document.category) not in within.categories:
        return False
    if within.in_stock and not document.in_stock:
        return False
    if within.price_min is None and within.price_max is None:
        return True
    return (
        document.price is not None
        and (within.price_min is None or document.price >= within.price_min)
        and (within.price_max is None or document.price <= within.price_max)
    )


def _shown(document: SearchDocument | None, within: CatalogueFilter) -> TypeGuard[SearchDocument]:
    return document is not None and meets(document, within)
