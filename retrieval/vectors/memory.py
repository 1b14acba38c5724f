"""A vector index in plain memory: the port's semantics without a store, for unit tests and simulated schedules.

Deterministic: equal scores are ordered by key. Each method runs without yielding to the event loop, so it is atomic.
Search compares with every vector; a few thousand points are its measure.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from retrieval.encoders.port import SparseVector
from retrieval.filters import CatalogueFilter, FilterValue
from retrieval.vectors.port import AnyVector, NamedVectors, PointPayload, PointWrite, Vector, VectorCounts, VectorHit
from retrieval.vectors.record import new_identity, require_distinct, without_empty
from retrieval.vectors.spaces import Spaces, require_same_spaces
from schemas.catalogue import Field
from schemas.errors import NotReadyError
from schemas.identity import SkuKey, TenantId


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """One point: its payload and its unit vectors by name."""

    payload: PointPayload
    vectors: NamedVectors


class MemoryIndex:
    """The port `VectorIndex` on a dictionary; several writers may share one instance."""

    def __init__(self) -> None:
        self._points: dict[SkuKey, StoredPoint] = {}
        self._spaces = Spaces()
        self._identity: str | None = None

    async def recorded(self) -> Mapping[str, Any] | None:
        """The record of the spaces; None before the first `prepare`."""
        return self._spaces.record() if self._spaces else None

    async def identity(self) -> str | None:
        """None before the first `prepare`."""
        return self._identity

    async def identify(self) -> str:
        """The id of this instance."""
        if self._identity is None:
            raise NotReadyError("the index in memory is not prepared yet")
        return self._identity

    async def prepare(self, spaces: Spaces) -> None:
        """Note the spaces, or check them against those that are noted."""
        if not self._spaces:
            self._spaces, self._identity = spaces, new_identity()
        require_same_spaces(self._spaces.record(), spaces, where="the index in memory")

    async def apply_settings(self) -> None:
        """There are none."""

    async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
        """Payloads of the points that exist."""
        return {key: self._points[key].payload for key in keys if key in self._points}

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        """Apply each write whose expected revision is the stored one; return the others' keys."""
        require_distinct([write.key for write in writes])
        return frozenset(write.key for write in writes if not self._apply(write))

    async def collect(self, tombstones: Mapping[SkuKey, int]) -> frozenset[SkuKey]:
        """Remove the tombstones that are still at their revision; return the keys that are stored all the same."""
        for key, rev in tombstones.items():
            held = self._points.get(key)
            if held is not None and not held.payload.alive and held.payload.rev == rev:
                del self._points[key]
        return frozenset(key for key in tombstones if key in self._points)

    async def revisions(self, keys: Sequence[SkuKey]) -> dict[SkuKey, int]:
        """Stored revision of each point that exists."""
        return {key: self._points[key].payload.rev for key in keys if key in self._points}

    async def search(
        self, vector: AnyVector, *, using: str, catalogue_filter: CatalogueFilter, limit: int
    ) -> list[VectorHit]:
        """The `limit` nearest living products by exact comparison, best first."""
        query = _stored(vector)
        hits = [
            VectorHit(key, _product(point.vectors[using], query))
            for key, point in self._points.items()
            if using in point.vectors
            and catalogue_filter.met_by(key.tenant, alive=point.payload.alive, value=_values(point.payload))
        ]
        if isinstance(vector, SparseVector):
            hits = [hit for hit in hits if hit.score > 0]
        return sorted(hits, key=lambda hit: (-hit.score, hit.key))[:limit]

    async def counts(self, tenant: TenantId | None = None) -> VectorCounts:
        """Exact counts over one tenant, or over all."""
        points = [point for key, point in self._points.items() if tenant in (None, key.tenant)]
        alive = [point for point in points if point.payload.alive]
        return VectorCounts(
            alive=len(alive),
            dead=len(points) - len(alive),
            vectors={
                **dict.fromkeys(self._spaces, 0),
                **Counter(chain.from_iterable(point.vectors for point in alive)),
            },
        )

    async def scan(
        self, tenant: TenantId | None = None, *, page: int = 1000
    ) -> AsyncIterator[Mapping[SkuKey, PointPayload]]:
        """Pages over the keys that were there when the scan began."""
        keys = sorted(key for key in self._points if tenant in (None, key.tenant))
        for start in range(0, len(keys), page):
            yield {key: self._points[key].payload for key in keys[start : start + page]}

    async def vectors(self, keys: Collection[SkuKey], *, using: str) -> dict[SkuKey, AnyVector]:
        """Stored vectors of the points that have one of that space."""
        held = {key: self._vectors_of(key).get(using) for key in keys}
        return {key: vector for key, vector in held.items() if vector is not None}

    async def close(self) -> None:
        """Nothing is held open; the content stays until the instance goes."""

    def _vectors_of(self, key: SkuKey) -> dict[str, AnyVector]:
        point = self._points.get(key)
        return dict(point.vectors) if point else {}

    def _apply(self, write: PointWrite) -> bool:
        held = self._points.get(write.key)
        if write.expected_rev != (held.payload.rev if held else None):
            return False
        named = self._vectors_of(write.key) | {name: _stored(vector) for name, vector in write.vectors.items()}
        self._points[write.key] = StoredPoint(write.payload, without_empty(named))
        return True


def _stored(vector: AnyVector) -> AnyVector:
    """As a store keeps it: dense vectors normalised, sparse ones as they are."""
    return vector if isinstance(vector, SparseVector) else _unit(vector)


def _product(held: AnyVector, query: AnyVector) -> float:
    if isinstance(held, SparseVector) and isinstance(query, SparseVector):
        _, ours, theirs = np.intersect1d(held.indices, query.indices, assume_unique=True, return_indices=True)
        return float(held.values[ours] @ query.values[theirs])
    if isinstance(held, SparseVector) or isinstance(query, SparseVector):
        raise TypeError("a dense and a sparse vector cannot be compared; name the space that the query's vector is of")
    return float(held @ query)


def _unit(vector: Vector) -> Vector:
    norm = float(np.linalg.norm(vector))
    return np.asarray(vector if norm == 0 else vector / norm, dtype=np.float32)


def _values(payload: PointPayload) -> Callable[[Field], FilterValue]:
    return lambda field: payload.filterable[field.key]
