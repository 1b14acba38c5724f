"""One loaded commit of a Tantivy index: the questions that the writer and the readers both ask of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache

import tantivy

from retrieval.text.apart.ledger import Ledger, SetApart
from retrieval.text.port import Checkpoint
from retrieval.text.tantivy_index import queries
from retrieval.text.tantivy_index.schema import Field, Flag, checkpoint_from_bytes, key_hash
from runtime.bounded_cache import remembered, weight_of
from schemas.documents import SearchDocument
from schemas.identity import SkuKey

_PAGE = 4096


# One search reads some 240 keys and 140 documents, and searches of a shop meet the same products again and again. Both are
# immutable and functions of their bytes alone, so a commit invalidates nothing.

_PARSED = 4
"""Times as many bytes as in JSON: the JSON itself, which is the key, and the model's own strings and numbers."""
_MODEL_BYTES = 2_048
_DOCUMENT_BYTES = 32 * 1024 * 1024


# A key has at most some 200 letters: 10 MB. So many are asked for that a wrapper in Python would cost more than it saves.
@lru_cache(maxsize=16_384)
def _key(text: str) -> SkuKey:
    return SkuKey.parse(text)


@remembered("documents", max_bytes=_DOCUMENT_BYTES, weigh=lambda asked, _: _PARSED * weight_of(asked) + _MODEL_BYTES)
def _document(content: bytes) -> SearchDocument:
    return SearchDocument.model_validate_json(content)


class Snapshot:
    """A searcher over one commit. It stays valid while later commits, merges and clean-ups go on."""

    __slots__ = ("searcher",)

    def __init__(self, searcher: tantivy.Searcher) -> None:
        self.searcher = searcher

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint that was committed with this data."""
        found = self.searcher.search(queries.flagged(Flag.CHECKPOINT), 1, count=False).hits
        return checkpoint_from_bytes(self.stored(found[0][1])) if found else None

    def set_apart(self, ledger: Ledger | None = None) -> SetApart:
        """What was set apart when this was committed; the ledger is read where the caller does not have it."""
        return SetApart(
            self._ledger() if ledger is None else ledger,
            self.count(queries.flagged(Flag.PARTLY_INDEXED)),
            self.count(queries.flagged(Flag.NOT_INDEXED)),
        )

    def to_try_again(self, limit: int) -> list[SearchDocument]:
        """Stored documents of products that may be whole with another analyser."""
        return [self.document(address) for address in self.addresses(queries.flagged(Flag.TRY_AGAIN), limit)]

    def count(self, *conditions: tantivy.Query) -> int:
        """How many documents meet all conditions, exactly."""
        result = self.searcher.search(queries.every(*conditions), 1, count=True)
        return int(result.count)  # type: ignore[attr-defined]  # the stubs leave it out

    def addresses(self, query: tantivy.Query, limit: int) -> list[tantivy.DocAddress]:
        """Up to `limit` matches, in no particular order."""
        if limit < 1:
            return []
        return [address for _, address in self.searcher.search(queries.unscored(query), limit, count=False).hits]

    def key(self, address: tantivy.DocAddress) -> SkuKey:
        """The product of one match."""
        return _key(str(self.searcher.doc(address).get_first(Field.KEY)))

    def stored(self, address: tantivy.DocAddress) -> bytes:
        """The stored record value of one match."""
        content = self.searcher.doc(address).get_first(Field.DOCUMENT)
        assert isinstance(content, bytes), "every document, the checkpoint and the ledger store one"
        return content

    def document(self, address: tantivy.DocAddress) -> SearchDocument:
        """The stored document of one match."""
        return _document(self.stored(address))

    def matched(self, keys: Collection[SkuKey], narrowed: tantivy.Query | None = None) -> list[SkuKey]:
        """Which of `keys` are held and, where given, meet `narrowed`; read from fast fields alone."""
        return [key for key, _ in self._held(keys, narrowed)]

    def revisions_of(self, keys: Collection[SkuKey]) -> dict[SkuKey, int]:
        """The held revision of each of `keys` that is held."""
        held = self._held(keys, None)
        revisions = self._integers(Field.REV, [address for _, address in held])
        return {key: revision for (key, _), revision in zip(held, revisions, strict=True)}

    def all_revisions(self) -> Iterator[tuple[SkuKey, int]]:
        """Every held product, living or not, with its revision."""
        everything = queries.unscored(queries.living()), queries.unscored(queries.buried())
        for query in everything:
            addresses = self.addresses(query, self.count(query))
            for start in range(0, len(addresses), _PAGE):
                page = addresses[start : start + _PAGE]
                revisions = self._integers(Field.REV, page)
                for address, revision in zip(page, revisions, strict=True):
                    yield self.key(address), revision

    def _ledger(self) -> Ledger:
        found = self.addresses(queries.flagged(Flag.LEDGER), 1)
        return Ledger.from_json(self.stored(found[0])) if found else Ledger()

    def _held(
        self, keys: Collection[SkuKey], narrowed: tantivy.Query | None
    ) -> list[tuple[SkuKey, tantivy.DocAddress]]:
        if not keys:
            return []
        # The terms compare whole keys; the hash only tells which of these few keys a match is.
        by_hash = {key_hash(str(key)): key for key in keys}
        query = queries.keyed(keys) if narrowed is None else queries.every(queries.keyed(keys), narrowed)
        addresses = self.addresses(query, len(keys))
        hashes = self._integers(Field.KEY_HASH, addresses)
        return [(by_hash[found], address) for found, address in zip(hashes, addresses, strict=True)]

    def _integers(self, field: Field, addresses: list[tantivy.DocAddress]) -> list[int]:
        """An unsigned fast field that every document of a product has."""
        return [int(value or 0) for value in self.searcher.fast_field_values(field, addresses)]
