"""The one entry point for change records: raw key and value in, changes or a reason out.

A record is recognised by its shape, not by its topic, so one topic may carry both forms and a file can be checked
without any setting.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any, Final

import orjson

from schemas.errors import InvalidEventError, RowTooLargeError, UnparsableEventError
from schemas.events import debezium
from schemas.events.admission import Admission, AdmissionRules, Changes, Ignored, ParsedRecord
from schemas.events.canonical import canonical_source, is_canonical, parse_canonical
from schemas.identity import tenant_id
from schemas.mapping.compiled import CompiledMapping
from schemas.mapping.loading import default_mapping
from schemas.product.sources import OPERATOR_SOURCE

__all__ = ["MAX_EVENT_BYTES", "MAX_ROW_BYTES", "TOMBSTONE", "Changes", "EventParser", "Ignored", "ParsedRecord"]

MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
"""Larger than any row that a search could use; Kafka's own limit is 1 MB by default."""

MAX_ROW_BYTES: Final = 1024 * 1024
"""Of one facet's row in its normal form. A merged state and its document are made of such rows, and travel with every change."""

_CANONICAL: Final = frozenset({"version", "facet", "fields"})
"""Members that tell a canonical event of a named source from Debezium's."""

_EXPAND: Final = " (of an outbox's payload, table.expand.json.payload=true of the event router makes an object)"

TOMBSTONE: Final = Ignored("a Kafka tombstone (null value): a deletion is an event with a version")


class EventParser:
    """Parses change records, canonical and Debezium, under one mapping. Pure: safe to share between threads."""

    def __init__(
        self,
        mapping: CompiledMapping | None = None,
        default_tenant: str = "default",
        *,
        admission: AdmissionRules | None = None,
    ) -> None:
        """Without a mapping, the default one of conventional column names.

        `default_tenant` is the tenant of events and rows that name none, unless the mapping says another. `admission` says
        which sources and versions are let in; without it, all are.
        """
        self.mapping = default_mapping(default_tenant) if mapping is None else mapping
        self._canonical_tenant = tenant_id(default_tenant)
        self._admission = None if admission is None else Admission(admission, self.mapping.declared)

    def parse(self, key: bytes | None, value: bytes | None, *, taken_ms: int | None = None) -> ParsedRecord:
        """Changes of one record, or why it holds none.

        `taken_ms` is when the log took the record, milliseconds since 1970: with it, its source and versions are judged, and
        the events have the epoch of their source. A file that no log took has none.

        Raises:
            PoisonError: the record can never be processed as it is; the class says in which way, the message why.
        """
        if not value:
            return TOMBSTONE
        if len(value) > MAX_EVENT_BYTES:
            msg = f"the event has {len(value)} bytes, more than {MAX_EVENT_BYTES}"
            raise UnparsableEventError(msg)
        try:
            raw = orjson.loads(value.removeprefix(BOM_UTF8))
        except orjson.JSONDecodeError as error:
            raise UnparsableEventError(_unreadable(value, error)) from error
        try:
            if type(raw) is str:
                raw = debezium.within_text(raw)
            if raw is None:
                return TOMBSTONE
            if type(raw) is not dict:
                msg = f"the event is {_kind(raw)}, not a JSON object"
                raise UnparsableEventError(msg)
            parsed = self._event(raw, key)
            if len(value) > MAX_ROW_BYTES and isinstance(parsed, Changes):
                _require_moderate_rows(parsed)
            if self._admission is not None and taken_ms is not None and isinstance(parsed, Changes):
                return self._admission.admit(parsed, taken_ms)
        except RecursionError as error:
            msg = "the event is nested deeper than any row is"
            raise UnparsableEventError(msg) from error
        return parsed

    def _event(self, raw: Mapping[str, Any], key: bytes | None) -> ParsedRecord:
        if is_canonical(raw):
            return self._canonical(raw)
        return self._other(raw, key)

    def _canonical(self, raw: Mapping[str, Any]) -> Changes:
        source = canonical_source(raw)
        may_be_clock = source != OPERATOR_SOURCE and not self.mapping.counts(source)
        return Changes((parse_canonical(raw, self._canonical_tenant),), source, may_be_clock)

    def _other(self, raw: Mapping[str, Any], key: bytes | None) -> ParsedRecord:
        if "payload" in raw and raw.keys() <= {"schema", "payload"}:
            payload, schema = raw["payload"], raw.get("schema")
            if type(payload) is str:
                payload, schema = debezium.within_text(payload), None
            if payload is None:
                return TOMBSTONE
            if type(payload) is not dict:
                msg = f"the envelope's payload is {_kind(payload)}, not an object"
                raise UnparsableEventError(msg)
        else:
            payload, schema = raw, None
        ignored = debezium.without_rows(payload)
        if ignored is not None:
            return ignored
        if debezium.is_change(payload) and not (type(payload["source"]) is str and payload.keys() & _CANONICAL):
            return debezium.parse_change(payload, schema, key, self.mapping)
        if schema is None and payload.keys() & {*_CANONICAL, "op"}:
            return self._canonical(payload)
        raise InvalidEventError(_unrecognised(payload))


def _unreadable(value: bytes, error: orjson.JSONDecodeError) -> str:
    if value[:1] == b"\x00":
        return "the value is Avro or Protobuf framed by a schema registry (magic byte 0): use Connect's JsonConverter for values"
    return f"the value is not JSON: {error}"[:300]


def _kind(raw: object) -> str:
    return {list: "a list", str: f"text{_EXPAND}", bool: "a boolean"}.get(type(raw), "a number")


def _unrecognised(payload: Mapping[str, Any]) -> str:
    if payload.keys() & {"__op", "__deleted", "__table", "__lsn"}:
        return (
            "the row was unwrapped by ExtractNewRecordState, which drops its position in the history: "
            "remove this transform from the connector"
        )
    members = ", ".join(repr(name[:40]) for name in list(payload)[:6]) or "no members"
    return f"neither a canonical event (sku, version, fields) nor a Debezium one (source, op, after): it has {members}"


def _require_moderate_rows(changes: Changes) -> None:
    for event in changes.events:
        size = 0 if event.fields is None else len(orjson.dumps(dict(event.fields)))
        if size > MAX_ROW_BYTES:
            raise RowTooLargeError(
                f"the row of facet {event.facet} has {size} bytes of fields, more than {MAX_ROW_BYTES}: shorten its texts"
            )
