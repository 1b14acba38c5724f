"""Points as protobuf messages, built and read directly on the stubs that qdrant-client opens.

Its own models cost a validation and a conversion for each value, both ways, and carry a stored vector as a list of
Python floats. Here a vector that is taken over stays the bytes that the server sent. The stubs share the client's
channels, and so its keep-alive, its api key and its reading of "retry after".
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from qdrant_client import AsyncQdrantClient, models
from qdrant_client import grpc as messages
from qdrant_client.conversions.conversion import RestToGrpc, value_to_json

from retrieval.encoders.port import SparseVector
from retrieval.filters import CatalogueFilter
from retrieval.vectors import record
from retrieval.vectors.port import AnyVector
from retrieval.vectors.qdrant import filters
from retrieval.vectors.qdrant.calls import NotAppliedError
from retrieval.vectors.qdrant.wire import Neighbours, NewPoint, Selection, StoredPoint, StoredVector, Upsert
from retrieval.vectors.settings import VectorSettings
from runtime.bounded_cache import remembered, weight_of
from schemas.identity import TenantId

_VALUE_FIELDS: Final = {str: "string_value", int: "integer_value", float: "double_value"}
"""The field of a protobuf value for each type that a record holds."""


_PLAIN_KINDS: Final = frozenset(_VALUE_FIELDS.values())


class GrpcWire:
    """A `PointWire` whose stored vectors are `VectorOutput` messages."""

    def __init__(self, client: AsyncQdrantClient, settings: VectorSettings) -> None:
        self._client = client
        self._collection = settings.collection
        # The same bound as the client's own calls; `StoreCalls` ends a try at the exact time.
        self._timeout_s = math.ceil(settings.timeout_s)
        self._ordering = RestToGrpc.convert_write_ordering(models.WriteOrdering(settings.ordering.value))
        # What is merged and guarded must not come from a replica that lags; a single copy has nothing to compare.
        self._consistency = messages.ReadConsistency(type=messages.Majority) if settings.replicas > 1 else None

    async def get(self, point_ids: Sequence[str], *, payload: Selection, vectors: Selection) -> dict[str, StoredPoint]:
        """Points that exist, by point id."""
        request = messages.GetPoints(
            collection_name=self._collection,
            ids=[messages.PointId(uuid=point_id) for point_id in point_ids],
            with_payload=_payload_selector(payload),
            with_vectors=_vectors_selector(vectors),
            read_consistency=self._consistency,
        )
        response = await self._client.grpc_points.Get(request, timeout=self._timeout_s)
        return {point.id.uuid: StoredPoint(_payload_of(point.payload), _vectors_of(point)) for point in response.result}

    async def nearest(self, sought: Neighbours) -> list[tuple[str, float]]:
        """SKU and cosine similarity of each neighbour, best first."""
        request = messages.QueryPoints(
            collection_name=self._collection,
            using=sought.using,
            filter=_visible(replace(sought.within, tenant=_ANY)),
            limit=sought.limit,
            with_payload=_SKU_ALONE,
        )
        request.filter.must[filters.TENANT_CONDITION].field.match.keyword = sought.within.tenant
        _fill(request.query.nearest, sought.vector)
        if sought.ef is not None:
            request.params.hnsw_ef = sought.ef
        response = await self._client.grpc_points.Query(request, timeout=self._timeout_s)
        return [(hit.payload[record.SKU].string_value, hit.score) for hit in response.result]

    async def upsert(self, upserts: Sequence[Upsert]) -> None:
        """Store the points whose guards hold."""
        request = self._update_batch()
        for upsert in upserts:
            operation = request.operations.add().upsert
            if upsert.expected is None:
                operation.update_mode = messages.InsertOnly
            else:
                operation.update_mode = messages.UpdateOnly
                add_at_revisions(operation.update_filter, upsert.expected)
            for point in upsert.points:
                _add_point(operation.points, point)
        await self._apply(request)

    async def delete_dead(self, tombstones: Mapping[str, int]) -> None:
        """Remove these point ids where they are dead and still at their revision."""
        request = self._update_batch()
        guard = RestToGrpc.convert_filter(filters.dead_at_revisions(tombstones))
        request.operations.add().delete_points.points.filter.CopyFrom(guard)
        await self._apply(request)

    def array(self, stored: StoredVector) -> AnyVector:
        """A stored vector as the port has it, from its present or its deprecated fields."""
        if stored.HasField("sparse"):
            return SparseVector.of(stored.sparse.indices, stored.sparse.values)
        if stored.HasField("indices"):
            return SparseVector.of(stored.indices.data, stored.data)
        return np.asarray(stored.dense.data if stored.HasField("dense") else stored.data, dtype=np.float32)

    def _update_batch(self) -> messages.UpdateBatchPoints:
        return messages.UpdateBatchPoints(collection_name=self._collection, wait=True, ordering=self._ordering)

    async def _apply(self, request: messages.UpdateBatchPoints) -> None:
        response = await self._client.grpc_points.UpdateBatch(request, timeout=self._timeout_s)
        unsure = [result.status for result in response.result if result.status != messages.Completed]
        if unsure:
            raise NotAppliedError(f"the server answered {', '.join(map(messages.UpdateStatus.Name, unsure))}")


_ANY: Final = TenantId("")
_FILTER_BYTES: Final = 4 * 1024 * 1024


# Searches ask for few different filters; the message is only ever copied from. The tenant is filled in afterwards, so that names
# that somebody made up leave nothing behind.
@remembered("filters", max_bytes=_FILTER_BYTES, weigh=lambda asked, message: weight_of(asked) + 4 * message.ByteSize())
def _visible(within: CatalogueFilter) -> messages.Filter:
    return RestToGrpc.convert_filter(filters.visible(within))


def add_at_revisions(guard: messages.Filter, expected: Mapping[str, int]) -> None:
    """Build `filters.at_revisions(expected)` in an empty message, without the client's models between."""
    for rev, point_ids in filters.ids_by_revision(expected).items():
        must = guard.should.add().filter.must
        has_id = must.add().has_id.has_id
        for point_id in point_ids:
            has_id.add(uuid=point_id)
        at_revision = must.add().field
        at_revision.key = record.REV
        at_revision.match.integer = rev


def _add_point(points: Any, new: NewPoint) -> None:
    """Build a point where it will be sent from: a message that is put into another one is copied."""
    point = points.add()
    point.id.uuid = new.point_id
    for name, value in new.payload.items():
        setattr(point.payload[name], _VALUE_FIELDS[type(value)], value)
    vectors = point.vectors.vectors
    vectors.SetInParent()  # a point without vectors says so
    for name, vector in new.vectors.items():
        _fill(vectors.vectors[name], vector)
    for name, stored in new.kept.items():
        # `VectorOutput` and `Vector` are two names of one form, for vectors of every kind.
        vectors.vectors[name].MergeFromString(stored.SerializeToString())


def _payload_of(payload: Mapping[str, messages.Value]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in payload.items():
        kind = value.WhichOneof("kind")
        plain[name] = getattr(value, kind) if kind in _PLAIN_KINDS else value_to_json(value)
    return plain


def _fill(message: Any, vector: AnyVector) -> None:
    """Put a vector into a message that is of either kind."""
    if isinstance(vector, SparseVector):
        message.sparse.indices.extend(vector.indices.tolist())
        message.sparse.values.extend(vector.values.tolist())
    else:
        message.dense.data.extend(np.asarray(vector, dtype=np.float32).tolist())


def _vectors_of(point: messages.RetrievedPoint) -> dict[str, StoredVector]:
    if not point.HasField("vectors"):
        return {}
    named = point.vectors.vectors.vectors
    return {name: named[name] for name in named}


def _payload_selector(selection: Selection) -> messages.WithPayloadSelector:
    if isinstance(selection, bool):
        return messages.WithPayloadSelector(enable=selection)
    return messages.WithPayloadSelector(include=messages.PayloadIncludeSelector(fields=selection))


def _vectors_selector(selection: Selection) -> messages.WithVectorsSelector:
    if isinstance(selection, bool):
        return messages.WithVectorsSelector(enable=selection)
    return messages.WithVectorsSelector(include=messages.VectorsSelector(names=selection))


_SKU_ALONE: Final = _payload_selector([record.SKU])
