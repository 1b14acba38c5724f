"""How points travel to the server and back: the seam between the guarded writes and the form of their messages.

The index decides what is read, guarded and kept; a `PointWire` only carries it. Two do: one speaks protobuf with a
server, one the models of qdrant-client, whose in-memory imitation of a server knows nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from retrieval.filters import CatalogueFilter
from retrieval.vectors.port import AnyVector, NamedVectors
from retrieval.vectors.record import Record

StoredVector = Any
"""A vector as the wire that read it holds it. It goes back through the same wire unread, or through its `array`."""

Selection = bool | Sequence[str]
"""All, nothing, or these names."""


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """What was asked for of a stored point; a point without vectors has an empty mapping of them."""

    payload: Mapping[str, Any]
    vectors: Mapping[str, StoredVector]


@dataclass(frozen=True, slots=True)
class NewPoint:
    """A whole point to be stored: its new vectors, and under other names the stored ones that it takes over."""

    point_id: str
    payload: Record
    vectors: NamedVectors
    kept: Mapping[str, StoredVector]


@dataclass(frozen=True, slots=True)
class Upsert:
    """Points under one kind of guard: each replaces its revision in `expected`, by point id; None: they never overwrite."""

    points: Sequence[NewPoint]
    expected: Mapping[str, int] | None


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What to search for: the `limit` living products within the filter whose vector of this name is nearest.

    `ef` is the width of the search in the graph; None takes the collection's own.
    """

    vector: AnyVector
    using: str
    within: CatalogueFilter
    limit: int
    ef: int | None


class PointWire(Protocol):
    """Each call is one request and may fail as the client does; `StoreCalls` knows what that means."""

    async def get(self, point_ids: Sequence[str], *, payload: Selection, vectors: Selection) -> dict[str, StoredPoint]:
        """Points that exist, by point id."""
        ...

    async def nearest(self, sought: Neighbours) -> list[tuple[str, float]]:
        """SKU and similarity of each neighbour, best first."""
        ...

    async def upsert(self, upserts: Sequence[Upsert]) -> None:
        """Store the points whose guards hold.

        Raises:
            NotAppliedError: the server did not say that it applied them.
        """
        ...

    async def delete_dead(self, tombstones: Mapping[str, int]) -> None:
        """Remove these point ids where they are dead and still at their revision.

        Raises:
            NotAppliedError: the server did not say that it applied it.
        """
        ...

    def array(self, stored: StoredVector) -> AnyVector:
        """A stored vector as the port has it."""
        ...
