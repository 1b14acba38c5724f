"""From records of the documents topic to what the text index is to do. Pure.

A record that is no document stops nothing: the next version of that product repairs what it lacks, and a reconcile finds
it meanwhile. It is counted, reported and logged, and its offset is passed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import ValidationError

from query_api.replica.log.port import LogRecord
from schemas.documents import SearchDocument
from schemas.errors import InvalidEventError
from schemas.identity import SkuKey


@dataclass(frozen=True, slots=True)
class Malformed:
    """A record that is no document, where it stands, and why."""

    partition: int
    offset: int
    reason: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """One batch, folded by product: the newest document of each, the products to forget first, and what was no document."""

    documents: tuple[SearchDocument, ...] = ()
    removed: frozenset[SkuKey] = frozenset()
    malformed: tuple[Malformed, ...] = field(default=())


def decode(records: Iterable[LogRecord]) -> Decoded:
    """Read and fold records that are in order within each partition (all records of a product are in one).

    Of several documents of a product the highest revision stays. A null value forgets the product and all that came
    before it in the batch; a document after it begins anew.
    """
    newest: dict[SkuKey, SearchDocument] = {}
    removed: set[SkuKey] = set()
    malformed: list[Malformed] = []
    for record in records:
        try:
            key = _key(record)
            document = _document(record, key)
        except (InvalidEventError, ValidationError) as error:
            malformed.append(Malformed(record.partition, record.offset, _reason(error)))
            continue
        if document is None:
            newest.pop(key, None)
            removed.add(key)
            continue
        held = newest.get(key)
        if held is None or document.rev >= held.rev:
            newest[key] = document
    return Decoded(tuple(newest.values()), frozenset(removed), tuple(malformed))


def _key(record: LogRecord) -> SkuKey:
    if record.key is None:
        raise InvalidEventError("the record has no key")
    try:
        return SkuKey.parse(record.key.decode())
    except UnicodeDecodeError as error:
        raise InvalidEventError("the record's key is not UTF-8") from error


def _document(record: LogRecord, key: SkuKey) -> SearchDocument | None:
    if record.value is None:
        return None
    document = SearchDocument.model_validate_json(record.value)
    if document.key != key:
        raise InvalidEventError(f"the record's key is {str(key)!r}, the document's {str(document.key)!r}")
    return document


def _reason(error: InvalidEventError | ValidationError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}"
    return str(error)
