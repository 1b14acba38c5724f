"""The text index's ports: one writer that applies documents with a checkpoint, and any number of readers.

The index is the query side's document store too: stored documents hydrate hits that came from the vector index. All
methods are synchronous and release the GIL for their heavy part; callers run them off the event loop.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from retrieval.analysis.tokens import Token
from retrieval.filters import CatalogueFilter
from retrieval.text.apart.ledger import SetApart
from retrieval.text.apart.values import NO_NOTES, Apart, LogNotes
from retrieval.text.query import TextQuery
from schemas.documents import SearchDocument
from schemas.identity import SkuKey, TenantId


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a log was consumed: the log's identity (Kafka's cluster id) and the next offset of each partition."""

    log_id: str
    offsets: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Applied:
    """What one batch did: documents written, and documents dropped since a newer revision was held.

    `apart` names the products among the written that were newly set apart, and the records that are no documents.
    """

    written: int
    outdated: int
    apart: tuple[Apart, ...] = ()


@dataclass(frozen=True, slots=True)
class TextHit:
    """One match and its BM25 score."""

    key: SkuKey
    score: float


@dataclass(frozen=True, slots=True)
class TextCounts:
    """Living documents, tombstones, and living documents with a text vector or with an image."""

    alive: int
    dead: int
    with_text_vector: int
    with_image: int


class TextIndexWriter(Protocol):
    """The one writer of an index."""

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint of the last commit; None for a new index."""
        ...

    def set_apart(self) -> SetApart:
        """What is set apart as of the last commit."""
        ...

    def to_try_again(self, limit: int) -> list[SearchDocument]:
        """Stored documents of products that are held without some part, and may be whole with another analyser."""
        ...

    def apply(
        self,
        documents: Sequence[SearchDocument],
        checkpoint: Checkpoint,
        *,
        removed: Collection[SkuKey] = (),
        notes: LogNotes = NO_NOTES,
    ) -> Applied:
        """Write documents, checkpoint and ledger in one atomic commit; a document older than the held revision is dropped.

        Several documents of one SKU may come; the highest revision wins. An equal revision is written again. What is
        held of the `removed` products is forgotten first, revision and all (their tombstones were collected as garbage,
        and a product of that name may begin again at revision 1).

        A document that cannot be analysed is held without the parts that fail, or found by no word; in no case does what was
        held of its product before stay.

        Raises:
            DefectError: too many documents could not be analysed; nothing of the batch was committed.
        """
        ...

    def close(self) -> None:
        """Let go of the directory; nothing uncommitted survives."""
        ...


class TextIndexReader(Protocol):
    """A reader over the newest commit it has loaded. Thread-safe."""

    def refresh(self) -> bool:
        """Load the newest commit if there is a newer one; whether there was. Cheap when there is none."""
        ...

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint of the loaded commit."""
        ...

    def search(self, query: TextQuery, *, catalogue_filter: CatalogueFilter, limit: int) -> list[TextHit]:
        """The `limit` best living products by BM25 over the analysed fields, best first; none for a query without terms."""
        ...

    def listed(self, catalogue_filter: CatalogueFilter, *, limit: int) -> list[SkuKey]:
        """Up to `limit` living products that meet the filter, in an order that stays while the loaded commit does."""
        ...

    def lookup_code(self, code: str, *, catalogue_filter: CatalogueFilter, limit: int) -> list[SkuKey]:
        """Living products whose SKU, EAN or part number is exactly this, in folded form without separators."""
        ...

    def matching(self, keys: Collection[SkuKey], catalogue_filter: CatalogueFilter) -> frozenset[SkuKey]:
        """Which of these products are alive here and meet the filter."""
        ...

    def excluded(self, keys: Collection[SkuKey], query: TextQuery) -> frozenset[SkuKey]:
        """Which of these products hold something that the query excludes."""
        ...

    def meets_all(self, query: TextQuery, *, catalogue_filter: CatalogueFilter) -> bool:
        """Whether some living product within the filter meets every clause of the query that is not extra."""
        ...

    def count_with(self, tokens: Sequence[Token], *, catalogue_filter: CatalogueFilter) -> int:
        """How many living products have all of these tokens where products are named: title, brand, category, codes."""
        ...

    def vocabulary(self, tenant: TenantId, prefix: str = "", *, limit: int | None = None) -> list[tuple[str, int]]:
        """Words of the tenant's titles, brands and categories that begin so, folded, with how many documents have them.

        Most frequent first, ties in alphabetical order. A word of deleted products may linger until segments merge.
        """
        ...

    def fetch(self, keys: Collection[SkuKey]) -> dict[SkuKey, SearchDocument]:
        """Stored documents of the products that are held, tombstones included."""
        ...

    def counts(self, tenant: TenantId | None = None) -> TextCounts:
        """Exact counts over one tenant, or over all."""
        ...

    def products(self) -> dict[TenantId, int]:
        """How many living products each tenant has that has any, tenants in order."""
        ...

    def revisions(self) -> Iterator[tuple[SkuKey, int]]:
        """Every held product, tombstones included, with its revision."""
        ...


def newest_by_key(documents: Sequence[SearchDocument]) -> dict[SkuKey, SearchDocument]:
    """The highest revision of each product; of equal ones the last."""
    newest: dict[SkuKey, SearchDocument] = {}
    for document in documents:
        other = newest.get(document.key)
        if other is None or document.rev >= other.rev:
            newest[document.key] = document
    return newest
