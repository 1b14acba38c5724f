"""From records of the documents topic to what the text index is to do. Pure.

A record that is no document stops nothing. Where no more than some fields are at fault, the product is read without them; else
the record is set apart with its place, and what is held of its product stays as it was: what is no document says nothing
of the product's state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from pydantic import ValidationError
from pydantic_core import from_json

from query_api.replica.tailing.log import LogRecord
from retrieval.text.apart.values import Apart, Flaw, Place
from runtime.isolation import Batch, Isolation, Reason
from schemas.documents import SearchDocument
from schemas.errors import InvalidEventError
from schemas.events.dead_letters import previous_attempts
from schemas.identity import SkuKey

_IDENTITY: Final = frozenset({"tenant", "sku", "rev", "state", "deleted"})
"""Without these a document says nothing of its product."""

_LARGEST_REV: Final = 2**63 - 1
_INVALID: Final = InvalidEventError.code


@dataclass(frozen=True, slots=True)
class Decoded:
    """One batch, folded by product: the newest document of each, the products to forget first, and what was no document.

    `places` tells where each product's document stands, `incomplete` which products could be read without some fields only.
    """

    documents: tuple[SearchDocument, ...] = ()
    removed: frozenset[SkuKey] = frozenset()
    malformed: tuple[Apart, ...] = ()
    places: Mapping[SkuKey, Place] = field(default_factory=lambda: MappingProxyType({}))
    incomplete: Mapping[SkuKey, Apart] = field(default_factory=lambda: MappingProxyType({}))


def decode(records: Iterable[LogRecord], *, isolation: Isolation | None = None, now_us: int = 0) -> Decoded:
    """Read and fold records that are in order within each partition (all records of a product are in one).

    Of several documents of a product the highest revision stays. A null value forgets the product and all that came
    before it in the batch; a document after it begins anew.

    Raises:
        DefectError: too many records showed a defect of ours.
    """
    batch_records = list(records)
    newest: dict[SkuKey, SearchDocument] = {}
    places: dict[SkuKey, Place] = {}
    incomplete: dict[SkuKey, Apart] = {}
    removed: set[SkuKey] = set()
    batch: Batch[LogRecord] = (isolation or Isolation("read documents")).batch(len(batch_records))
    for record in batch_records:
        place = place_of(record)
        with batch.one(record, name=str(place)):
            key, document, lacking = _read(record)
            if document is None:
                newest.pop(key, None)
                removed.add(key)
                continue
            held = newest.get(key)
            if held is None or document.rev >= held.rev:
                newest[key], places[key] = document, place
                incomplete.pop(key, None)
                if lacking is not None:
                    incomplete[key] = _incomplete(document, place, lacking, now_us)
    malformed = tuple(_malformed(one.thing, one.reason, now_us) for one in batch.set_apart)
    return Decoded(tuple(newest.values()), frozenset(removed), malformed, places, incomplete)


def place_of(record: LogRecord) -> Place:
    """Where a record stands; a redriven one brings along how often it was tried."""
    attempt, value = previous_attempts(record.headers) + 1, record.value or b""
    return Place(record.partition, record.offset, record.timestamp_ms, attempt, len(value), sha256(value).hexdigest())


@dataclass(frozen=True, slots=True)
class _Lacking:
    fields: tuple[str, ...]
    detail: str


def _read(record: LogRecord) -> tuple[SkuKey, SearchDocument | None, _Lacking | None]:
    key = _key(record)
    if record.value is None:
        return key, None, None
    lacking = None
    try:
        document = SearchDocument.model_validate_json(record.value)
    except ValidationError as error:
        document, lacking = _without_faulty_fields(record.value, error)
    if document.rev > _LARGEST_REV:
        raise InvalidEventError(f"the revision has {document.rev.bit_length()} bits, more than the index takes")
    if document.key != key:
        raise InvalidEventError(f"the record's key is {str(key)!r}, the document's {str(document.key)!r}")
    return key, document, lacking


def _without_faulty_fields(value: bytes, error: ValidationError) -> tuple[SearchDocument, _Lacking]:
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    faulty = {str(one["loc"][0]) for one in errors if one["loc"]}
    if not faulty or faulty & _IDENTITY:
        raise InvalidEventError(_sentence(error)) from error
    whole = from_json(value)
    document = SearchDocument.model_validate({name: held for name, held in whole.items() if name not in faulty})
    return document, _Lacking(tuple(sorted(faulty)), _sentence(error))


def _key(record: LogRecord) -> SkuKey:
    if record.key is None:
        raise InvalidEventError("the record has no key")
    try:
        return SkuKey.parse(record.key.decode())
    except UnicodeDecodeError as error:
        raise InvalidEventError("the record's key is not UTF-8") from error


def _incomplete(document: SearchDocument, place: Place, lacking: _Lacking, now_us: int) -> Apart:
    return Apart(
        Flaw.PARTLY_INDEXED,
        place,
        str(document.key),
        _INVALID,
        lacking.detail,
        rev=document.rev,
        lacks=lacking.fields,
        since_us=now_us,
    )


def _malformed(record: LogRecord, reason: Reason, now_us: int) -> Apart:
    key = "" if record.key is None else record.key.decode("utf-8", errors="replace")
    return Apart(Flaw.MALFORMED_DOCUMENT, place_of(record), key, reason.code, reason.detail, since_us=now_us)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}"
