"""Points as qdrant-client's own models, for its in-memory imitation of a server, which has neither gRPC nor replicas."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from qdrant_client import AsyncQdrantClient, models

from retrieval.encoders.port import SparseVector
from retrieval.vectors import record
from retrieval.vectors.port import AnyVector
from retrieval.vectors.qdrant import filters
from retrieval.vectors.qdrant.calls import NotAppliedError
from retrieval.vectors.qdrant.wire import Neighbours, NewPoint, Selection, StoredPoint, StoredVector, Upsert


class ClientWire:
    """A `PointWire` whose stored vectors are lists of floats."""

    def __init__(self, client: AsyncQdrantClient, collection: str) -> None:
        self._client = client
        self._collection = collection

    async def get(self, point_ids: Sequence[str], *, payload: Selection, vectors: Selection) -> dict[str, StoredPoint]:
        """Points that exist, by point id."""
        points = await self._client.retrieve(
            self._collection,
            ids=list(point_ids),
            with_payload=payload if isinstance(payload, bool) else list(payload),
            with_vectors=vectors if isinstance(vectors, bool) else list(vectors),
        )
        return {str(point.id): StoredPoint(point.payload or {}, _vectors_of(point)) for point in points}

    async def nearest(self, sought: Neighbours) -> list[tuple[str, float]]:
        """SKU and cosine similarity of each neighbour, best first."""
        found = await self._client.query_points(
            self._collection,
            query=_vector(sought.vector),
            using=sought.using,
            query_filter=filters.visible(sought.within),
            limit=sought.limit,
            with_payload=[record.SKU],
            search_params=None if sought.ef is None else models.SearchParams(hnsw_ef=sought.ef),
        )
        return [((hit.payload or {})[record.SKU], hit.score) for hit in found.points]

    async def upsert(self, upserts: Sequence[Upsert]) -> None:
        """Store the points whose guards hold."""
        await self._apply([models.UpsertOperation(upsert=_points_list(upsert)) for upsert in upserts])

    async def delete_dead(self, tombstones: Mapping[str, int]) -> None:
        """Remove these point ids where they are dead and still at their revision."""
        guarded = models.FilterSelector(filter=filters.dead_at_revisions(tombstones))
        await self._apply([models.DeleteOperation(delete=guarded)])

    def array(self, stored: StoredVector) -> AnyVector:
        """A stored vector as the port has it."""
        if isinstance(stored, models.SparseVector):
            return SparseVector.of(stored.indices, stored.values)
        return np.asarray(stored, dtype=np.float32)

    async def _apply(self, operations: Sequence[models.UpdateOperation]) -> None:
        results = await self._client.batch_update_points(self._collection, operations, wait=True)
        unsure = [result.status.value for result in results if result.status is not models.UpdateStatus.COMPLETED]
        if unsure:
            raise NotAppliedError(f"the server answered {', '.join(unsure)}")


def _points_list(upsert: Upsert) -> models.PointsList:
    points = [_point(point) for point in upsert.points]
    if upsert.expected is None:
        return models.PointsList(points=points, update_mode=models.UpdateMode.INSERT_ONLY)
    guard = filters.at_revisions(upsert.expected)
    return models.PointsList(points=points, update_mode=models.UpdateMode.UPDATE_ONLY, update_filter=guard)


def _point(point: NewPoint) -> models.PointStruct:
    new = {name: _vector(vector) for name, vector in point.vectors.items()}
    return models.PointStruct(id=point.point_id, payload=dict(point.payload), vector={**point.kept, **new})


def _vector(vector: AnyVector) -> Any:
    if isinstance(vector, SparseVector):
        return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())
    return np.asarray(vector, dtype=np.float32).tolist()


def _vectors_of(point: models.Record) -> Mapping[str, StoredVector]:
    """A point's vectors by name; a point without any comes back with an empty mapping, list or None."""
    return point.vector if isinstance(point.vector, dict) else {}
