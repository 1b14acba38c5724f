"""Debezium's change events: the envelope, its operations, and the records beside them that hold no row.

A row's identity is read from `after`, and for a deletion from `before` and the record's key (default replica identity
gives only the key). Where `before` is a whole row and names another SKU or place than `after`, the row has moved: the
register that it left is deleted in the same record.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from schemas.errors import InvalidEventError, MissingKeyError, UnmappedTableError, UnsupportedChangeError
from schemas.events.admission import Changes, Ignored, ParsedRecord
from schemas.mapping.compiled import CompiledMapping, CompiledTable, RowIdentity
from schemas.mapping.connect_types import Decoder, row_decoders, struct_decoders
from schemas.mapping.matching import TableName
from schemas.mapping.positions import commit_time_us, is_of_a_log, is_snapshot_read, source_version
from schemas.mapping.spelling import respelt
from schemas.normalisers import shown
from schemas.product.changes import ChangeEvent
from schemas.version import SourceVersion

_UNNAMED: Final = "debezium"
"""The source of a change whose connector has no name (`topic.prefix`)."""
_ROW_OPERATIONS: Final = frozenset({"c", "u", "d", "r"})
_NO_DECODERS: Final[Mapping[str, Decoder]] = {}
_TRANSACTION_STATES: Final = ("BEGIN", "END")
_EXTENDED: Final[Mapping[str, Callable[[Any], Any]]] = {
    "$oid": str,
    "$numberInt": int,
    "$numberLong": int,
    "$numberDouble": float,
    "$numberDecimal": str,
    "$date": lambda held: held,
}
_OUTBOX: Final = frozenset({"aggregatetype", "aggregateid", "payload"})
_SIGNAL: Final = frozenset({"id", "type", "data"})
"""The columns that Debezium's documentation gives the two tables."""


def without_rows(payload: Mapping[str, Any]) -> Ignored | None:
    """Why a record of Debezium's own holds no row: schema changes, heartbeats, transaction boundaries, messages."""
    if "ddl" in payload or "tableChanges" in payload:
        return Ignored("a schema change: rows that follow are read by the columns that they have")
    if payload.keys() == {"ts_ms"}:
        return Ignored("a heartbeat of the connector")
    if "id" in payload and "status" in payload and payload["status"] in _TRANSACTION_STATES:
        return Ignored("a transaction boundary")
    if payload.get("op") == "m" and "source" in payload:
        return Ignored("a logical decoding message (pg_logical_emit_message)")
    return None


def within_text(text: str) -> Any:
    """What a JSON text within a record holds: an outbox's payload, MongoDB's row. One level; what is no JSON stays as it is."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def is_change(payload: Mapping[str, Any]) -> bool:
    """Whether the payload is a change event of a table."""
    return "source" in payload and ("op" in payload or "after" in payload or "before" in payload)


def parse_change(
    payload: Mapping[str, Any], schema: Any, record_key: bytes | None, mapping: CompiledMapping
) -> ParsedRecord:
    """The changes that one Debezium event makes under the mapping.

    Raises:
        MissingKeyError: a deletion names no SKU.
        UnmappedTableError: no entry matches the table.
        UnsupportedChangeError: the whole table was truncated.
        InvalidEventError: anything else is not as Debezium writes it, or breaks a rule.
    """
    source = payload["source"]
    if type(source) is not dict:
        msg = "'source' is not an object"
        raise InvalidEventError(msg)
    name = _table_name(source)
    table, rule, ignored = mapping.resolve(name)
    if ignored:
        return Ignored(f"table {name} is on the mapping's ignore list")
    op = payload.get("op")
    if op == "t":
        msg = f"table {name} was truncated, and the event names no SKU: delete its products, or raise the source's epoch and snapshot again"
        raise UnsupportedChangeError(msg)
    if type(op) is not str or op not in _ROW_OPERATIONS:
        msg = f"op {shown(op)} is none of Debezium's c, u, d, r, t, m"
        raise InvalidEventError(msg)
    if table is None:
        msg = f"table {name} ({name.connector or 'no connector'}) matches no entry of the mapping: add it, or list it under ignore"
        raise UnmappedTableError(msg)
    read = is_snapshot_read(op, source)
    version = source_version(
        source, rule, snapshot_read=read, processed_ms=_milliseconds(payload), order=_order_in_transaction(payload)
    )
    committed_us = commit_time_us(source)
    changed_at_us = 0 if read else committed_us  # a read says when it was read, not when it was written
    # A position of a log decides before the clock, which then freezes nothing.
    by_clock = version.position is None or not is_of_a_log(source)
    is_clock = by_clock and version.sequence in (committed_us, _milliseconds(payload) * 1_000)
    origin = (rule.name or name.server or _UNNAMED, is_clock)
    before, after = _row(payload.get("before")), _row(payload.get("after"))
    names = table.spelling.names(after or before or ())
    decoders = _NO_DECODERS if schema is None else respelt(row_decoders(schema), names)
    before = None if before is None else table.spelling.of(before)
    aside = _of_the_connector(before or {} if op == "d" else after or {}, table)
    if aside is not None:
        return aside
    if op == "d":
        identity = _deleted_identity(before, record_key, table, decoders)
        deletion = ChangeEvent(identity.key, identity.facet, version, None, changed_at_us=changed_at_us)
        return Changes((deletion,), *origin)
    if after is None:
        msg = f"op {op!r} has no row: 'after' is not an object"
        raise InvalidEventError(msg)
    return Changes(
        _written(respelt(after, names), before if op == "u" else None, table, decoders, version, changed_at_us), *origin
    )


def _row(raw: Any) -> Mapping[str, Any] | None:
    """A row as the connector names its columns; None where there is none. MongoDB's is JSON text."""
    if type(raw) is not str:
        return raw if type(raw) is dict else None
    held = within_text(raw)
    return {column: _plain(value) for column, value in held.items()} if type(held) is dict else None


def _plain(value: Any) -> Any:
    """A value of MongoDB's extended JSON, of those that a row of a shop has; any other stays as it is."""
    if type(value) is not dict or len(value) != 1:
        return value
    [(kind, held)] = value.items()
    try:
        return _EXTENDED[kind](held) if kind in _EXTENDED else value
    except (TypeError, ValueError):
        return value


def _of_the_connector(row: Mapping[str, Any], table: CompiledTable) -> Ignored | None:
    """What a row is that a connector reads for itself, not for us; a mapping that names its columns has it all the same.

    Raises:
        InvalidEventError: it is a row of an outbox table, which no router has opened.
    """
    columns = frozenset(map(str.casefold, row))
    if columns >= _OUTBOX and table.mapped_columns.isdisjoint(_OUTBOX):
        msg = (
            "it is a row of an outbox table, not of products: add Debezium's outbox event router to the connector "
            "(io.debezium.transforms.outbox.EventRouter, with table.expand.json.payload=true), or map the table's columns"
        )
        raise InvalidEventError(msg)
    if columns == _SIGNAL and table.mapped_columns.isdisjoint(_SIGNAL - {"id"}):
        return Ignored("a row of the connector's signalling table")
    return None


def _written(
    after: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    table: CompiledTable,
    decoders: Mapping[str, Decoder],
    version: SourceVersion,
    changed_at_us: int,
) -> tuple[ChangeEvent, ...]:
    identity = table.identity(after, decoders)
    if table.deleted is not None and table.deleted(after):
        written = ChangeEvent(identity.key, identity.facet, version, None, changed_at_us=changed_at_us)
    else:
        fields, unavailable = table.values(after, decoders)
        written = ChangeEvent(identity.key, identity.facet, version, fields, unavailable, changed_at_us)
    left = None if before is None else _identity_or_none(before, table, decoders)
    if left is None or left == identity:
        return (written,)
    return (ChangeEvent(left.key, left.facet, version, None, changed_at_us=changed_at_us), written)


def _identity_or_none(
    before: Mapping[str, Any], table: CompiledTable, decoders: Mapping[str, Decoder]
) -> RowIdentity | None:
    """The identity of the row before the update; None where `before` holds less than the identity."""
    try:
        return table.identity(before, decoders)
    except (MissingKeyError, InvalidEventError):
        return None


def _deleted_identity(
    before: Mapping[str, Any] | None, record_key: bytes | None, table: CompiledTable, decoders: Mapping[str, Decoder]
) -> RowIdentity:
    """Who was deleted: the key's columns go before those of `before`, which may hold nothing but defaults."""
    row: dict[str, Any] = {}
    if before is not None:
        row.update(_decoded(before, decoders))
    row.update(table.spelling.of(_key_row(record_key)))
    if not row:
        msg = (
            "the deletion names no row: 'before' is null and the record has no usable key; publish with Debezium's "
            "record key, or set REPLICA IDENTITY FULL"
        )
        raise MissingKeyError(msg)
    return table.identity(row, _NO_DECODERS)


def _key_row(record_key: bytes | None) -> dict[str, Any]:
    """The columns of a record key in Connect's JSON, with or without its schema; empty where it is of another form."""
    if not record_key:
        return {}
    try:
        raw = orjson.loads(record_key.removeprefix(BOM_UTF8))
    except orjson.JSONDecodeError:
        return {}
    if type(raw) is not dict:
        return {}
    if raw.keys() != {"schema", "payload"}:
        return raw
    payload = raw["payload"]
    if type(payload) is not dict:
        return {}
    return _decoded(payload, struct_decoders(raw["schema"]))


def _decoded(row: Mapping[str, Any], decoders: Mapping[str, Decoder]) -> dict[str, Any]:
    try:
        return {
            column: decoders[column](value) if column in decoders and value is not None else value
            for column, value in row.items()
        }
    except ValueError as error:
        msg = f"a column of the deleted row {error}"
        raise InvalidEventError(msg) from error


def _table_name(source: Mapping[str, Any]) -> TableName:
    def part(member: str) -> str:
        value = source.get(member)
        return value if type(value) is str else ""

    return TableName(part("connector"), part("name"), part("db"), part("schema"), part("table"))


def _milliseconds(payload: Mapping[str, Any]) -> int:
    value = payload.get("ts_ms")
    return value if type(value) is int else 0


def _order_in_transaction(payload: Mapping[str, Any]) -> int | None:
    """The event's number in its transaction, where the connector runs with provide.transaction.metadata."""
    transaction = payload.get("transaction")
    number = transaction.get("total_order") if type(transaction) is dict else None
    return number if type(number) is int else None
