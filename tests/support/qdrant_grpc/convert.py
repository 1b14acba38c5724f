"""Between the wire's messages and Edge's values. Vectors cross as whole lists, so a point costs few Python steps."""

from collections.abc import Iterable, Sequence
from typing import Any

import qdrant_edge as edge
from qdrant_client import grpc as wire


class UnsupportedError(Exception):
    """The stand-in does not speak this part of the protocol."""


def value_from_wire(value: wire.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {name: value_from_wire(item) for name, item in value.struct_value.fields.items()}
    if kind == "list_value":
        return [value_from_wire(item) for item in value.list_value.values]
    return None if kind in (None, "null_value") else getattr(value, kind)


def value_to_wire(value: Any) -> wire.Value:
    if isinstance(value, str):
        return wire.Value(string_value=value)
    if isinstance(value, bool):
        return wire.Value(bool_value=value)
    if isinstance(value, int):
        return wire.Value(integer_value=value)
    if isinstance(value, float):
        return wire.Value(double_value=value)
    if isinstance(value, dict):
        return wire.Value(struct_value=wire.Struct(fields={name: value_to_wire(item) for name, item in value.items()}))
    if isinstance(value, (list, tuple)):
        return wire.Value(list_value=wire.ListValue(values=[value_to_wire(item) for item in value]))
    return wire.Value(null_value=0)


def fields_of(message: Any) -> dict[str, Any]:
    """The fields that are set."""
    return {field.name: value for field, value in message.ListFields()}


def payload_from_wire(payload: Any) -> dict[str, Any]:
    return {name: value_from_wire(value) for name, value in payload.items()}


def payload_to_wire(payload: dict[str, Any] | None) -> dict[str, wire.Value]:
    return {name: value_to_wire(value) for name, value in (payload or {}).items()}


def point_from_wire(point: wire.PointStruct) -> edge.Point:
    if point.vectors.WhichOneof("vectors_options") != "vectors":
        raise UnsupportedError("Expected some vectors")
    vectors = {name: vector_from_wire(vector) for name, vector in point.vectors.vectors.vectors.items()}
    return edge.Point(point.id.uuid, vectors, payload_from_wire(point.payload))


def vector_from_wire(vector: wire.Vector) -> Any:
    if vector.WhichOneof("vector") == "sparse":
        return edge.SparseVector(list(vector.sparse.indices), list(vector.sparse.values))
    return list(vector.dense.data if vector.WhichOneof("vector") == "dense" else vector.data)


def vector_input_from_wire(vector: wire.VectorInput) -> Any:
    match vector.WhichOneof("variant"):
        case "dense":
            return list(vector.dense.data)
        case "sparse":
            return edge.SparseVector(list(vector.sparse.indices), list(vector.sparse.values))
        case other:
            raise UnsupportedError(f"query vector {other}")


def point_to_wire(point: edge.Record) -> wire.RetrievedPoint:
    return wire.RetrievedPoint(
        id=wire.PointId(uuid=str(point.id)),
        payload=payload_to_wire(point.payload),
        vectors=_vectors_to_wire(point.vector),
    )


def _vectors_to_wire(vectors: Any) -> wire.VectorsOutput | None:
    if not isinstance(vectors, dict):
        return None
    named = {name: _vector_to_wire(data) for name, data in vectors.items()}
    return wire.VectorsOutput(vectors=wire.NamedVectorsOutput(vectors=named))


def _vector_to_wire(data: Any) -> wire.VectorOutput:
    if isinstance(data, edge.SparseVector):
        return wire.VectorOutput(sparse=wire.SparseVector(indices=data.indices, values=data.values))
    return wire.VectorOutput(dense=wire.DenseVector(data=data))


def hit_to_wire(hit: edge.ScoredPoint) -> wire.ScoredPoint:
    return wire.ScoredPoint(
        id=wire.PointId(uuid=str(hit.id)), payload=payload_to_wire(hit.payload), score=hit.score, version=hit.version
    )


def with_payload(selector: wire.WithPayloadSelector) -> bool | list[str]:
    match selector.WhichOneof("selector_options"):
        case "enable":
            return bool(selector.enable)
        case "include":
            return list(selector.include.fields)
        case other:
            raise UnsupportedError(f"payload selector {other}")


def with_vectors(selector: wire.WithVectorsSelector) -> bool | list[str]:
    match selector.WhichOneof("selector_options"):
        case "enable":
            return bool(selector.enable)
        case "include":
            return list(selector.include.names)
        case None:
            return False
        case other:
            raise UnsupportedError(f"vector selector {other}")


def filter_from_wire(wanted: wire.Filter) -> edge.Filter:
    if wanted.HasField("min_should"):
        raise UnsupportedError("min_should")
    return edge.Filter(
        must=_conditions(wanted.must), should=_conditions(wanted.should), must_not=_conditions(wanted.must_not)
    )


def optional_filter(holder: Any, name: str) -> edge.Filter | None:
    return filter_from_wire(getattr(holder, name)) if holder.HasField(name) else None


def ids_from_wire(ids: Iterable[wire.PointId]) -> list[str]:
    return [point_id.uuid for point_id in ids]


def _conditions(conditions: Sequence[wire.Condition]) -> list[Any] | None:
    return [_condition(condition) for condition in conditions] or None


def _condition(condition: wire.Condition) -> Any:
    match condition.WhichOneof("condition_one_of"):
        case "field":
            return _field(condition.field)
        case "has_id":
            return edge.HasIdCondition(set(ids_from_wire(condition.has_id.has_id)))
        case "has_vector":
            return edge.HasVectorCondition(condition.has_vector.has_vector)
        case "filter":
            return filter_from_wire(condition.filter)
        case "is_empty":
            return edge.IsEmptyCondition(condition.is_empty.key)
        case other:
            raise UnsupportedError(f"condition {other}")


def _field(field: wire.FieldCondition) -> edge.FieldCondition:
    if field.HasField("range"):
        bounds = {name: getattr(field.range, name) for name in ("gt", "gte", "lt", "lte") if field.range.HasField(name)}
        return edge.FieldCondition(field.key, range=edge.RangeFloat(**bounds))
    match field.match.WhichOneof("match_value"):
        case "keyword":
            return edge.FieldCondition(field.key, match=edge.MatchValue(field.match.keyword))
        case "integer":
            return edge.FieldCondition(field.key, match=edge.MatchValue(field.match.integer))
        case "keywords":
            return edge.FieldCondition(field.key, match=edge.MatchAny(list(field.match.keywords.strings)))
        case "integers":
            return edge.FieldCondition(field.key, match=edge.MatchAny(list(field.match.integers.integers)))
        case other:
            # Booleans among them: Edge's binding reads them as integers and would match nothing in silence.
            raise UnsupportedError(f"match {other}")
