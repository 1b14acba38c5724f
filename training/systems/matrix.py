"""A vector index for experiments: exact comparison with a whole tenant at once, in memory, read by any number of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrieval.encoders.port import Matrix
from retrieval.filters import CatalogueFilter
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointWrite, Vector, VectorHit
from schemas.identity import SkuKey, TenantId


@dataclass(frozen=True, slots=True)
class _Shelf:
    """A tenant's living products that have a vector, by key, and their vectors: float32 [products, dimension]."""

    keys: tuple[SkuKey, ...]
    vectors: Matrix


class MatrixIndex(MemoryIndex):
    """The port `VectorIndex` in memory, quick at searching a tenant without further conditions.

    Exact, as Qdrant Edge is below its indexing threshold, so ranks are those of the embedded mode. Equal scores are
    ordered by key.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shelves: dict[tuple[TenantId, str], _Shelf] = {}

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        """Apply guarded writes; return the keys that were refused."""
        self._shelves.clear()
        return await super().write(writes)

    async def search(self, vector: Vector, *, using: str, within: CatalogueFilter, limit: int) -> list[VectorHit]:
        """The `limit` nearest living products, best first."""
        if within != CatalogueFilter(within.tenant):
            return await super().search(vector, using=using, within=within, limit=limit)
        shelf = self._shelf(within.tenant, using)
        if not shelf.keys:
            return []
        scores = shelf.vectors @ np.asarray(vector, np.float32)
        best = _best(scores, limit)
        return [VectorHit(shelf.keys[row], float(scores[row])) for row in best]

    def _shelf(self, tenant: TenantId, using: str) -> _Shelf:
        shelf = self._shelves.get((tenant, using))
        if shelf is None:
            found: Mapping[SkuKey, Vector] = {
                key: point.vectors[using]
                for key, point in self._points.items()
                if key.tenant == tenant and point.payload.alive and using in point.vectors
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
