"""From fused keys to documents: the text replica has the last word on what lives and what meets the filter.

The vector store and the replica follow the same log at their own pace, so a neighbour may have been deleted, or priced
out of the filter, in the store that is ahead. Candidates are checked against the replica before they are counted, and
each document once more as it is shown, since the replica may reload between the two reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from retrieval.filters import CatalogueFilter, meets
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
    catalogue_filter: CatalogueFilter,
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
        kept = [candidate for candidate in candidates if _shown(found.get(candidate.key), catalogue_filter)]
        page = kept[offset : offset + limit]
    else:
        valid = reader.matching([candidate.key for candidate in candidates], catalogue_filter)
        kept = [candidate for candidate in candidates if candidate.key in valid]
        page = kept[offset : offset + limit]
        found = read(page)
        page = [candidate for candidate in page if _shown(found.get(candidate.key), catalogue_filter)]
    return Hydrated(
        page=tuple((candidate, found[candidate.key]) for candidate in page),
        counted=tuple(found[candidate.key] for candidate in kept) if everything else (),
        total=len(kept),
    )


def _shown(document: SearchDocument | None, catalogue_filter: CatalogueFilter) -> bool:
    return document is not None and meets(document, catalogue_filter)
