"""The vector index's port: it stores each product's vectors and merged state, guarded by revision, and searches them.

The guard is what lets several writers live: a write names the revision that it read, and one whose revision has moved
on is refused and reported, never half applied. Search sees only living products of the filter's tenant: that is decided
in the adapters' one filter builder, nowhere else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from retrieval.encoders.port import SparseVector
from retrieval.filters import CatalogueFilter
from retrieval.vectors.spaces import TEXT_VECTOR, Provenance, Spaces
from schemas.identity import SkuKey, TenantId

Vector = npt.NDArray[np.float32]
AnyVector = Vector | SparseVector
NamedVectors = Mapping[str, AnyVector]
"""A text's vectors by the name of their space."""


@dataclass(frozen=True, slots=True)
class PointPayload:
    """What a point holds beside its vectors: revision, merged state, vector provenance and the filterable fields.

    `state` is `ItemState.to_bytes()`; `provenance` says by space which input and encoder the vector came from.
    `brand` and `category` are folded (`fold_keyword`).
    """

    rev: int
    alive: bool
    state: bytes
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
    brand: str = ""
    category: str = ""
    price: float | None = None
    in_stock: bool = True

    def provenance_of(self, space: str) -> Provenance:
        """Of its vector in this space; the empty provenance where it has none."""
        return self.provenance.get(space, _NO_PROVENANCE)


_NO_PROVENANCE: Final = Provenance()


@dataclass(frozen=True, slots=True)
class PointWrite:
    """One guarded write: takes effect only where the stored revision is `expected_rev` (None: the point is not there).

    `vectors` holds the new vectors by name; a stored vector that is not named stays as it is. An empty sparse vector is none.
    """

    key: SkuKey
    expected_rev: int | None
    payload: PointPayload
    vectors: NamedVectors = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VectorHit:
    """One neighbour and its cosine similarity; in a sparse space, the product of the weights."""

    key: SkuKey
    score: float


@dataclass(frozen=True, slots=True)
class VectorCounts:
    """How many points there are: living products, tombstones (or items not created yet), and living ones with a vector, by space."""

    alive: int
    dead: int
    vectors: Mapping[str, int]

    @property
    def with_text_vector(self) -> int:
        """Living products with a vector of their text."""
        return self.vectors.get(TEXT_VECTOR, 0)

    def plus(self, other: VectorCounts, *, times: int = 1) -> VectorCounts:
        """The two together; `times` -1 takes the other off."""
        spaces = {**self.vectors, **other.vectors}
        return VectorCounts(
            self.alive + times * other.alive,
            self.dead + times * other.dead,
            {space: self.vectors.get(space, 0) + times * other.vectors.get(space, 0) for space in spaces},
        )

    @property
    def coverage(self) -> dict[str, float]:
        """The part of the living products that has a vector, by space; 1 where there are none."""
        return {space: min(1.0, count / self.alive) if self.alive else 1.0 for space, count in self.vectors.items()}


class VectorIndex(Protocol):
    """Every method may raise StoreUnavailableError, after the adapter's own retries of what is safe to retry."""

    async def recorded(self) -> Mapping[str, Any] | None:
        """The record of the collection's spaces (`Spaces.recorded`); None where there is no collection, or it has none."""
        ...

    async def identity(self) -> str | None:
        """The id that the collection was made with, or was given; None where there is no collection, or it has none."""
        ...

    async def identify(self) -> str:
        """The collection's id; one that was made without is given one that lasts.

        Raises:
            NotReadyError: there is no collection; `prepare` makes it.
        """
        ...

    async def prepare(self, spaces: Spaces) -> None:
        """Create the collection with these spaces where it is absent, with its payload indexes; else check the recorded ones.

        Raises:
            ModelMismatchError: the collection was written by other encoders, or lacks a space, or has one more.
        """
        ...

    async def apply_settings(self) -> None:
        """Give a collection that is there the graph and the quantisation of the settings; the process that writes it does.

        Raises:
            ConfigurationError: the store cannot change what differs; the message says how to come to it.
        """
        ...

    async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
        """Payloads of the points that exist, tombstones included, in one round trip."""
        ...

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        """Apply guarded writes of distinct keys; return the keys that were refused, known by reading back.

        When it returns, what was applied is visible to `search`.
        """
        ...

    async def collect(self, tombstones: Mapping[SkuKey, int]) -> frozenset[SkuKey]:
        """Remove tombstones that are still dead and at these revisions; returns the keys that are stored all the same.

        Such a key was changed since its revision was read, or came to life again; nothing of it is touched.
        """
        ...

    async def revisions(self, keys: Sequence[SkuKey]) -> dict[SkuKey, int]:
        """Stored revision of each point that exists; cheaper than `read`."""
        ...

    async def search(self, vector: AnyVector, *, using: str, within: CatalogueFilter, limit: int) -> list[VectorHit]:
        """The `limit` nearest living products, best first; in a sparse space, those alone that share a weight."""
        ...

    async def counts(self, tenant: TenantId | None = None) -> VectorCounts:
        """Exact counts over one tenant, or over all."""
        ...

    def scan(self, tenant: TenantId | None = None, *, page: int = 1000) -> AsyncIterator[Mapping[SkuKey, PointPayload]]:
        """Every point, page by page, tombstones included; each point at least once while others are written."""
        ...

    async def vectors(self, keys: Collection[SkuKey], *, using: str) -> dict[SkuKey, AnyVector]:
        """Stored vectors of the points that have one of that space."""
        ...

    async def close(self) -> None:
        """Flush and let go of the store."""
        ...
