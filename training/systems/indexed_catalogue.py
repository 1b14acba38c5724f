"""One catalogue in both indexes, which any number of systems under test read.

The vector index compares exactly, with a whole tenant at once, in memory: what differs between two runs is then never the
index's approximation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from retrieval.encoders.port import Matrix, SparseVector
from retrieval.filters import CatalogueFilter
from retrieval.text.port import TextIndexReader
from retrieval.text.settings import FieldWeights
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import AnyVector, PointWrite, Vector, VectorHit, VectorIndex
from schemas.documents import SearchDocument
from schemas.errors import ConfigurationError
from schemas.identity import SkuKey, TenantId
from training.systems.cached_encoders import CachedEncoder
from training.systems.port import memoised


@dataclass(frozen=True, slots=True)
class IndexedCatalogue:
    """What systems read: the documents, both indexes, the encoder.

    `open_reader` opens the text index with the given scoring weights. `digest` names the content, for saved runs.
    """

    name: str
    digest: str
    documents: Mapping[SkuKey, SearchDocument]
    vectors: VectorIndex
    encoder: CachedEncoder
    open_reader: Callable[[FieldWeights], TextIndexReader]

    @property
    def tenants(self) -> tuple[TenantId, ...]:
        """The tenants that have products, sorted."""
        return tuple(sorted({key.tenant for key in self.documents}))

    def remembering(self) -> IndexedCatalogue:
        """The same catalogue, whose indexes answer every question once, for many configurations over the same queries."""
        open_reader = self.open_reader
        return replace(
            self,
            vectors=memoised(self.vectors),
            encoder=memoised(self.encoder),
            open_reader=cache(lambda weights: memoised(open_reader(weights))),
        )

    def tenant_of(self, named: str) -> TenantId:
        """The tenant that a query names; one that names none asks the only one.

        Raises:
            ConfigurationError: the catalogue has no such tenant, or several and the query names none.
        """
        tenants = self.tenants
        if named:
            if named in tenants:
                return TenantId(named)
            raise ConfigurationError(
                f"the catalogue has no tenant {named!r} that a judged query names; it has {tenants}"
            )
        if len(tenants) != 1:
            raise ConfigurationError(f"judged queries name no tenant, and the catalogue has {len(tenants)}")
        return tenants[0]


@dataclass(frozen=True, slots=True)
class _Shelf:
    """A tenant's living products that have a vector, by key, and their vectors: float32 [products, dimension]."""

    keys: tuple[SkuKey, ...]
    vectors: Matrix


@dataclass(frozen=True, slots=True)
class _Words:
    """A tenant's sparse vectors turned over: the words in rising order, each with the products that have it and their weights."""

    keys: tuple[SkuKey, ...]
    indices: npt.NDArray[np.uint32]
    rows: npt.NDArray[np.int64]
    values: Vector

    @classmethod
    def of(cls, held: Mapping[SkuKey, SparseVector]) -> _Words:
        """From vectors by key."""
        indices = np.concatenate([one.indices for one in held.values()] or [np.empty(0, np.uint32)])
        values = np.concatenate([one.values for one in held.values()] or [np.empty(0, np.float32)])
        rows = np.repeat(np.arange(len(held)), [len(one) for one in held.values()])
        order = np.argsort(indices, kind="stable")
        return cls(tuple(held), indices[order], rows[order], values[order])

    def scores(self, query: SparseVector) -> Vector:
        """The product with each vector, float32 [products]."""
        scores = np.zeros(len(self.keys), np.float32)
        starts = np.searchsorted(self.indices, query.indices, side="left")
        ends = np.searchsorted(self.indices, query.indices, side="right")
        for start, end, weight in zip(starts, ends, query.values, strict=True):
            scores[self.rows[start:end]] += self.values[start:end] * weight
        return scores


class MatrixIndex(MemoryIndex):
    """The port `VectorIndex` in memory, quick at searching a tenant without further conditions.

    Exact, as Qdrant Edge is below its indexing threshold, so ranks are those of the embedded mode. Equal scores are
    ordered by key.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shelves: dict[tuple[TenantId, str], _Shelf] = {}
        self._words: dict[tuple[TenantId, str], _Words] = {}

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        """Apply guarded writes; return the keys that were refused."""
        self._shelves.clear()
        self._words.clear()
        return await super().write(writes)

    async def search(
        self, vector: AnyVector, *, using: str, catalogue_filter: CatalogueFilter, limit: int
    ) -> list[VectorHit]:
        """The `limit` nearest living products, best first."""
        if catalogue_filter != CatalogueFilter(catalogue_filter.tenant):
            return await super().search(vector, using=using, catalogue_filter=catalogue_filter, limit=limit)
        if isinstance(vector, SparseVector):
            return self._sparse(catalogue_filter.tenant, vector, using, limit)
        shelf = self._shelf(catalogue_filter.tenant, using)
        if not shelf.keys:
            return []
        scores = shelf.vectors @ np.asarray(vector, np.float32)
        best = _best(scores, limit)
        return [VectorHit(shelf.keys[row], float(scores[row])) for row in best]

    def _sparse(self, tenant: TenantId, vector: SparseVector, using: str, limit: int) -> list[VectorHit]:
        words = self._words.get((tenant, using))
        if words is None:
            held = {
                key: sparse
                for key, point in sorted(self._points.items())
                if key.tenant == tenant
                and point.payload.alive
                and isinstance(sparse := point.vectors.get(using), SparseVector)
            }
            words = self._words[tenant, using] = _Words.of(held)
        scores = words.scores(vector)
        return [VectorHit(words.keys[row], float(scores[row])) for row in _best(scores, limit) if scores[row] > 0]

    def _shelf(self, tenant: TenantId, using: str) -> _Shelf:
        shelf = self._shelves.get((tenant, using))
        if shelf is None:
            found: Mapping[SkuKey, Vector] = {
                key: dense
                for key, point in self._points.items()
                if key.tenant == tenant
                and point.payload.alive
                and (dense := point.vectors.get(using)) is not None
                and not isinstance(dense, SparseVector)
            }
            keys = tuple(sorted(found))
            vectors = np.stack([found[key] for key in keys]) if keys else np.empty((0, 0), np.float32)
            shelf = self._shelves[tenant, using] = _Shelf(keys, vectors)
        return shelf


def _best(scores: Vector, limit: int) -> list[int]:
    """Rows of the `limit` highest scores, best first; of equal scores the lower row first, at the cut too."""
    if limit < len(scores):
        threshold = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        rows = np.flatnonzero(scores >= threshold)
    else:
        rows = np.arange(len(scores))
    order = np.argsort(-scores[rows], kind="stable")
    return [int(row) for row in rows[order][:limit]]
