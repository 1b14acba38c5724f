"""From fused keys to documents: the text replica has the last word on what lives and what meets the filter.

The vector store and the replica follow the same log at their own pace, so a neighbour may have been deleted, or priced
out of the filter, in the store that is ahead. Candidates are checked against the replica before they are counted, and
each document once more as it is shown, since the replica may reload between the two reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from retrieval.filters import CatalogueFilter, fold_keyword
from retrieval.search.ranking.fusion import FusedCandidate
from retrieval.text.port import TextIndexReader
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


def hydrate(
    reader: TextIndexReader,
    candidates: Sequence[FusedCandidate],
    *,
    within: CatalogueFilter,
    offset: int,
    limit: int,
    everything: bool,
    documents: Mapping[SkuKey, SearchDocument] = MappingProxyType({}),
) -> Hydrated:
    """Check the candidates, then read the documents of the page, or of all candidates where `everything` is asked for.

    Those in `documents` were read for this query before, and are not read again. Blocking: run it off the event loop.
    """

    def read(wanted: Sequence[FusedCandidate]) -> Mapping[SkuKey, SearchDocument]:
        unread = [candidate.key for candidate in wanted if candidate.key not in documents]
        return {**documents, **reader.fetch(unread)} if unread else documents

    if everything:
        found = read(candidates)
        kept = [candidate for candidate in candidates if _shown(found.get(candidate.key), within)]
        page = kept[offset : offset + limit]
    else:
        valid = reader.matching([candidate.key for candidate in candidates], within)
        kept = [candidate for candidate in candidates if candidate.key in valid]
        page = kept[offset : offset + limit]
        found = read(page)
        page = [candidate for candidate in page if _shown(found.get(candidate.key), within)]
    return Hydrated(
        page=tuple((candidate, found[candidate.key]) for candidate in page),
        counted=tuple(found[candidate.key] for candidate in kept) if everything else (),
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


def _shown(document: SearchDocument | None, within: CatalogueFilter) -> bool:
    return document is not None and meets(document, within)
