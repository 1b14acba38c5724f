"""Which of several documents of one product counts. Shared by all adapters."""

from collections.abc import Sequence

from schemas.documents import SearchDocument
from schemas.identity import SkuKey


def newest_by_key(documents: Sequence[SearchDocument]) -> dict[SkuKey, SearchDocument]:
    """The highest revision of each product; of equal ones the last."""
    newest: dict[SkuKey, SearchDocument] = {}
    for document in documents:
        other = newest.get(document.key)
        if other is None or document.rev >= other.rev:
            newest[document.key] = document
    return newest
