"""Readers of a Tantivy text index: search, lookup and hydration over the newest commit that was loaded."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import tantivy

from retrieval.analysis.folding import fold_code
from retrieval.analysis.tokens import Token
from retrieval.filters import CatalogueFilter
from retrieval.text.port import Checkpoint, TextCounts, TextHit
from retrieval.text.query import TextQuery
from retrieval.text.settings import TextIndexSettings
from retrieval.text.tantivy_index import queries
from retrieval.text.tantivy_index.compatibility import METADATA_FILE, require_compatible
from retrieval.text.tantivy_index.schema import VOCABULARY_SEPARATOR, Field, Flag
from retrieval.text.tantivy_index.snapshot import Snapshot
from runtime.files import Stamp, stamp_of
from schemas.documents import SearchDocument
from schemas.errors import NotReadyError
from schemas.identity import SkuKey, TenantId


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A commit and the state of the files on disk that it was read from."""

    commit: Stamp
    origin: Stamp
    index: tantivy.Index
    snapshot: Snapshot


class TantivyReader:
    """Reads an index that another process writes; takes no lock and changes nothing on disk.

    The index may not be there yet: until `refresh` has found it, every question raises NotReadyError.
    """

    def __init__(self, settings: TextIndexSettings) -> None:
        """Open the index where it is there.

        Raises:
            IncompatibleIndexError: another schema, analysis or library version wrote it.
        """
        self._directory = settings.directory
        self._weights = settings.weights
        self._refreshing = threading.Lock()
        self._loaded: _Loaded | None = None
        self.refresh()

    def refresh(self) -> bool:
        """Load the newest commit if there is a newer one; whether there was. Two `stat` calls when there is none.

        An index that was put in the place of the old one (a rebuild, a restored snapshot) is opened anew.

        Raises:
            IncompatibleIndexError: the index that is there now was written by another version.
        """
        with self._refreshing:
            # Stamps first: a commit between them and the load only causes one more load.
            commit, origin = stamp_of(self._directory / "meta.json"), stamp_of(self._directory / METADATA_FILE)
            if commit is None or origin is None:
                return False
            before = self._loaded
            if before is not None and (before.commit, before.origin) == (commit, origin):
                return False
            if before is None or before.origin != origin:
                index = _open(self._directory)
            else:
                index = before.index
                index.reload()
            self._loaded = _Loaded(commit, origin, index, Snapshot(index.searcher()))
            return True

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint of the loaded commit."""
        return self._snapshot().checkpoint()

    def search(self, query: TextQuery, *, catalogue_filter: CatalogueFilter, limit: int) -> list[TextHit]:
        """The `limit` best living products by BM25 over the analysed fields, best first.

        Equal scores keep Tantivy's order, which is the same for every limit while the commit is: pages do not overlap.
        A query without terms finds nothing; `listed` lists.
        """
        ranked = queries.ranked(query, self._weights, catalogue_filter)
        if ranked is None or limit < 1:
            return []
        snapshot = self._snapshot()
        found = snapshot.searcher.search(ranked, limit, count=False).hits
        return [TextHit(snapshot.key(address), score) for score, address in found]

    def listed(self, catalogue_filter: CatalogueFilter, *, limit: int) -> list[SkuKey]:
        """Living products that meet the filter, in an order that stays the same while the loaded commit does."""
        snapshot = self._snapshot()
        return [snapshot.key(address) for address in snapshot.addresses(queries.filtered(catalogue_filter), limit)]

    def lookup_code(self, code: str, *, catalogue_filter: CatalogueFilter, limit: int) -> list[SkuKey]:
        """Living products whose SKU, EAN or part number is exactly this, in folded form without separators."""
        folded = fold_code(code)
        if not folded:
            return []
        snapshot = self._snapshot()
        named = queries.every(queries.term(Field.LOOKUP, folded), queries.filtered(catalogue_filter))
        return sorted(snapshot.key(address) for address in snapshot.addresses(named, limit))

    def matching(self, keys: Collection[SkuKey], catalogue_filter: CatalogueFilter) -> frozenset[SkuKey]:
        """Which of these products are alive here and meet the filter."""
        return frozenset(self._snapshot().matched(keys, queries.filtered(catalogue_filter)))

    def excluded(self, keys: Collection[SkuKey], query: TextQuery) -> frozenset[SkuKey]:
        """Which of these products hold something that the query excludes."""
        unwanted = queries.excluded(query, self._weights)
        return frozenset() if unwanted is None else frozenset(self._snapshot().matched(keys, unwanted))

    def meets_all(self, query: TextQuery, *, catalogue_filter: CatalogueFilter) -> bool:
        """Whether some living product within the filter meets every clause of the query that is not extra."""
        wanted = queries.meeting_all(query, self._weights)
        return wanted is not None and self._snapshot().count(wanted, queries.filtered(catalogue_filter)) > 0

    def count_with(self, tokens: Sequence[Token], *, catalogue_filter: CatalogueFilter) -> int:
        """How many products have all of these tokens in title, brand or category (or, a size or code, among theirs)."""
        wanted = queries.holding_all(tokens, self._weights)
        return self._snapshot().count(wanted, queries.filtered(catalogue_filter)) if wanted is not None else 0

    def vocabulary(self, tenant: TenantId, prefix: str = "", *, limit: int | None = None) -> list[tuple[str, int]]:
        """Words of the tenant's titles, brands and categories that begin so, with how many documents have them."""
        start = f"{tenant}{VOCABULARY_SEPARATOR}"
        found = self._snapshot().searcher.terms_with_prefix(Field.VOCABULARY, start + prefix, limit=limit)
        return [(word.removeprefix(start), count) for word, count in found]

    def fetch(self, keys: Collection[SkuKey]) -> dict[SkuKey, SearchDocument]:
        """Stored documents of the products that are held, tombstones included."""
        if not keys:
            return {}
        snapshot = self._snapshot()
        documents = map(snapshot.document, snapshot.addresses(queries.keyed(keys), len(keys)))
        return {document.key: document for document in documents}

    def counts(self, tenant: TenantId | None = None) -> TextCounts:
        """Exact counts over one tenant, or over all."""
        snapshot = self._snapshot()
        alive = queries.living(tenant)
        return TextCounts(
            alive=snapshot.count(alive),
            dead=snapshot.count(queries.buried(tenant)),
            with_text_vector=snapshot.count(alive, queries.flagged(Flag.TEXT_VECTOR)),
            with_image=snapshot.count(alive, queries.flagged(Flag.IMAGE)),
        )

    def products(self) -> dict[TenantId, int]:
        """How many living products each tenant has that has any, tenants in order."""
        snapshot = self._snapshot()
        # The dictionary still names tenants whose last product is gone, and counts what is deleted, until segments merge.
        named = sorted(TenantId(text) for text, _ in snapshot.searcher.terms_with_prefix(Field.LIVING, ""))
        counted = ((tenant, snapshot.count(queries.living(tenant))) for tenant in named)
        return {tenant: count for tenant, count in counted if count}

    def revisions(self) -> Iterator[tuple[SkuKey, int]]:
        """Every held product, tombstones included, with its revision, all of one commit."""
        return self._snapshot().all_revisions()

    def _snapshot(self) -> Snapshot:
        loaded = self._loaded
        if loaded is None:
            raise NotReadyError(
                f"there is no text index in {self._directory} yet. Start the replica, or wait until it has made one."
            )
        return loaded.snapshot


def _open(directory: Path) -> tantivy.Index:
    require_compatible(directory)
    index = tantivy.Index.open(str(directory))
    index.config_reader(reload_policy="manual")
    index.reload()
    return index
