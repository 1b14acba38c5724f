"""The stored form of a point's payload, and the collection's own id beside it.

The payload is one JSON object, the same on a Qdrant server and in Qdrant Edge. `tenant` and `sku` stand in it because a point
id is a one-way digest of them. Flags are the integers 0 and 1: Edge's Python binding turns a boolean match into an integer
match, which no boolean ever meets (see decision 0010). `writer` names the write that stored the point; a writer recognises
its own work by it when it reads back (decision 0009). A space's provenance stands under its name with `_hash` and `_model`
behind it.

The id is made with the collection, so that another one under its name is noticed. A collection that an earlier release made
is given one when it is first asked for it: derived from its name, so that processes which ask at the same moment agree.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final

from retrieval.encoders.port import SparseVector
from retrieval.filters import FilterValue
from retrieval.vectors.port import AnyVector, NamedVectors, PointPayload
from retrieval.vectors.spaces import SPARSE_VECTOR, TEXT_VECTOR, Provenance, Spaces
from schemas.catalogue import FILTERABLE, FILTERED, Field, Filter
from schemas.identity import SkuId, SkuKey, TenantId

IDENTITY_KEY: Final = "collection_id"
"""Under this key the collection's metadata holds the id."""

_ADOPTED: Final = uuid.UUID("a2f0b7f5-6b0c-4f4e-9a52-6f0f6c1f7d10")


def new_identity() -> str:
    """The id of a collection that is made now."""
    return str(uuid.uuid4())


def adopted_identity(name: str) -> str:
    """The id of a collection that was made without one."""
    return str(uuid.uuid5(_ADOPTED, name))


TENANT: Final = "tenant"
SKU: Final = "sku"
REV: Final = "rev"
ALIVE: Final = "alive"
STATE: Final = "state"
WRITER: Final = "writer"

KEYWORD_FIELDS: Final = tuple(field.key for field in FILTERED[Filter.ANY_OF])
"""Indexed as keywords, beside the tenant."""
INTEGER_FIELDS: Final = (REV, ALIVE, *(field.key for field in FILTERED[Filter.FLAG]))
"""Indexed for exact matches."""
FLOAT_FIELDS: Final = tuple(field.key for field in FILTERED[Filter.RANGE])
"""Indexed for ranges."""

Record = dict[str, str | int | float]


def to_record(key: SkuKey, payload: PointPayload, writer: str) -> Record:
    """Lay out a payload for storage; empty text and an unknown number are left out.

    Raises:
        UnicodeDecodeError: `payload.state` is not UTF-8; a state is canonical JSON and always is.
    """
    record: Record = {
        TENANT: key.tenant,
        SKU: key.sku,
        REV: payload.rev,
        ALIVE: int(payload.alive),
        STATE: payload.state.decode(),
        WRITER: writer,
    }
    for space, provenance in payload.provenance.items():
        record[f"{space}_hash"], record[f"{space}_model"] = provenance
    for name, value in payload.filterable.items():
        if isinstance(value, bool):
            record[name] = int(value)
        elif isinstance(value, str):
            if value:
                record[name] = value
        elif value is not None:
            record[name] = float(value)
    return record


def from_record(record: Mapping[str, Any], spaces: Spaces) -> PointPayload:
    """Read what `to_record` wrote. Total: one damaged record, or another program's, must not hide those that it is read with.

    `spaces` are the collection's. What is absent or of another type reads as empty; a state that is no state shows when it is merged or built from.
    """
    return PointPayload(
        rev=rev_of(record),
        alive=bool(record.get(ALIVE)),
        state=_text(record, STATE).encode("utf-8", "replace"),
        provenance=_provenance(record, spaces),
        filterable={field.key: _held(record.get(field.key), field) for field in FILTERABLE},
    )


def rev_of(record: Mapping[str, Any]) -> int:
    """A stored record's revision; 0, which no write of ours has, where it carries none."""
    rev = record.get(REV)
    return rev if isinstance(rev, int) else 0


def key_of(record: Mapping[str, Any]) -> SkuKey | None:
    """The identity that a stored record carries; None where it carries none, and so is no point of ours."""
    tenant, sku = _text(record, TENANT), _text(record, SKU)
    return SkuKey(TenantId(tenant), SkuId(sku)) if tenant and sku else None


def page_of(records: Iterable[Mapping[str, Any]], spaces: Spaces) -> dict[SkuKey, PointPayload]:
    """A page of a scan; records that are no points of ours are left out."""
    return {key: from_record(record, spaces) for record in records if (key := key_of(record)) is not None}


def _provenance(record: Mapping[str, Any], spaces: Spaces) -> dict[str, Provenance]:
    """By space. A release before wrote the text's alone, with the id of both encoders' revisions where there were two."""
    found: dict[str, Provenance] = {}
    for space in spaces or (TEXT_VECTOR,):
        if digest := _text(record, f"{space}_hash"):
            found[space] = Provenance(digest, _text(record, f"{space}_model"))
    if SPARSE_VECTOR in spaces and (text := found.get(TEXT_VECTOR)) and text.revision == spaces.pair:
        found |= {name: Provenance(text.hash, spaces[name].revision) for name in (TEXT_VECTOR, SPARSE_VECTOR)}
    return found


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name, "")
    return value if isinstance(value, str) else ""


def _held(value: Any, field: Field) -> FilterValue:
    match field.filter:
        case Filter.ANY_OF:
            return value if isinstance(value, str) else ""
        case Filter.RANGE:
            return float(value) if isinstance(value, int | float) else None
        case _:
            return bool(value)


def without_empty(vectors: NamedVectors) -> dict[str, AnyVector]:
    """An empty sparse vector is none: stored, it would count as one."""
    return {name: one for name, one in vectors.items() if not isinstance(one, SparseVector) or len(one)}


def require_distinct(keys: list[SkuKey]) -> None:
    """Check that one batch of writes names each product once.

    Raises:
        ValueError: a key comes twice; the caller folds its changes by key before it writes.
    """
    if len(set(keys)) != len(keys):
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"one batch writes {repeated} twice; fold the changes by key first")
