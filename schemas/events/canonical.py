"""The canonical JSON change event: what a producer of ours writes, and the hot path of the indexer.

Read by hand rather than by pydantic, because every price change of every shop goes through here; the model in
`schemas.events.wire` is the same contract as a JSON Schema, and a test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from schemas.errors import InvalidEventError, MissingKeyError
from schemas.identity import SkuKey, TenantId, sku_id, tenant_id
from schemas.normalisers import shown
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey, facet_key, facet_name
from schemas.product.fields import canonical_field_name, field_rule, normalise_fields
from schemas.product.sources import DEFAULT_SOURCE, MAX_OPERATOR_EPOCH, OPERATOR_SOURCE, source_name
from schemas.version import MAX_EPOCH, POSITION_PATTERN, SourceVersion

MEMBERS: Final = frozenset({"tenant", "sku", "facet", "op", "version", "fields", "unavailable", "changed_at", "source"})
"""The members of the event; any other is an error, for a misspelt one would be lost without a word."""

MAX_UNAVAILABLE: Final = 300
_MICROSECONDS_FROM: Final = 10**14
"""Smaller numbers are milliseconds or seconds sent by mistake: as microseconds they would lie before 1973."""
_VERSION_MEMBERS: Final = frozenset({"epoch", "sequence", "position"})
_POSITION: Final = re.compile(POSITION_PATTERN)
_NOTHING_UNAVAILABLE: Final[frozenset[str]] = frozenset()
_EPOCH_START: Final = datetime(1970, 1, 1, tzinfo=UTC)


def parse_canonical(raw: Mapping[str, Any], default_tenant: TenantId) -> ChangeEvent:
    """Read one canonical event, already decoded from JSON.

    Raises:
        MissingKeyError: there is no SKU.
        InvalidEventError: anything else breaks the contract; the message names the member.
    """
    if not raw.keys() <= MEMBERS:
        unknown = ", ".join(sorted(repr(name[:80]) for name in raw.keys() - MEMBERS)[:5])
        msg = f"unknown member {unknown}: an event has {', '.join(sorted(MEMBERS))}"
        raise InvalidEventError(msg)
    facet = _facet(raw.get("facet"))
    fields, unavailable = _row(raw, facet)
    changed_at = raw.get("changed_at")
    return ChangeEvent(
        key=_key(raw, default_tenant),
        facet=facet,
        version=_version(raw.get("version"), MAX_OPERATOR_EPOCH if raw.get("source") == OPERATOR_SOURCE else MAX_EPOCH),
        fields=fields,
        unavailable=unavailable,
        changed_at_us=0 if changed_at is None else _changed_at_us(changed_at),
    )


def is_canonical(raw: Mapping[str, Any]) -> bool:
    """Whether an object is meant as a canonical event: it names a SKU, and its `source`, where it has one, is no Debezium block."""
    return "sku" in raw and type(raw.get("source")) is not dict and "__op" not in raw and "__deleted" not in raw


def canonical_source(raw: Mapping[str, Any]) -> str:
    """Whose change an event says it is; `producer` where it does not say.

    Raises:
        InvalidEventError: it is no name.
    """
    source = raw.get("source")
    if source is None:
        return DEFAULT_SOURCE
    if type(source) is not str:
        msg = "'source' is not text"
        raise InvalidEventError(msg)
    return source_name(source)


def encode_event(event: ChangeEvent, source: str | None = None) -> bytes:
    """The canonical bytes of an event, for producers; `parse_canonical` gives the same event back. `source`: whose change it is."""
    raw: dict[str, Any] = {
        "tenant": event.key.tenant,
        "sku": event.key.sku,
        "facet": event.facet,
        "op": "delete" if event.is_delete else "upsert",
        "version": event.version.to_json(),
    }
    if event.fields is not None:
        raw["fields"] = dict(event.fields)
    if event.unavailable:
        raw["unavailable"] = sorted(event.unavailable)
    if event.changed_at_us:
        raw["changed_at"] = event.changed_at_us
    if source is not None and source != DEFAULT_SOURCE:
        raw["source"] = source
    return orjson.dumps(raw)


def _key(raw: Mapping[str, Any], default_tenant: TenantId) -> SkuKey:
    sku = raw.get("sku")
    if sku is None:
        msg = "the event has no 'sku'"
        raise MissingKeyError(msg)
    if type(sku) is int:
        sku = str(sku)
    elif type(sku) is not str:
        msg = "'sku' is neither text nor an integer"
        raise InvalidEventError(msg)
    tenant = raw.get("tenant")
    if tenant is None:
        return SkuKey(default_tenant, sku_id(sku))
    if type(tenant) is not str:
        msg = "'tenant' is not text"
        raise InvalidEventError(msg)
    return SkuKey(tenant_id(tenant), sku_id(sku))


def _facet(raw: Any) -> FacetKey:
    if raw is None or raw == ITEM_FACET:
        return ITEM_FACET
    if type(raw) is not str:
        msg = "'facet' is not text"
        raise InvalidEventError(msg)
    return facet_key(raw)


def _version(raw: Any, most_epoch: int) -> SourceVersion:
    if type(raw) is int:
        return SourceVersion.of(raw)
    if type(raw) is dict and raw.keys() <= _VERSION_MEMBERS:
        epoch, sequence, position = raw.get("epoch", 0), raw.get("sequence"), raw.get("position")
        if type(epoch) is int and type(sequence) is int and (position is None or _is_position(position)):
            version = SourceVersion.of(sequence, position=None if position is None else int(position, 16))
            return (
                replace(version, epoch=epoch)
                if MAX_EPOCH < epoch <= most_epoch
                else SourceVersion.of(sequence, epoch, version.position)
            )
    if raw is None:
        msg = "the event has no 'version': send a number that grows with every change of the row at its source"
        raise InvalidEventError(msg)
    msg = (
        'version is neither an integer below 2**64 nor {"epoch": integer, "sequence": integer}, '
        'perhaps with "position": up to 80 hexadecimal digits'
    )
    raise InvalidEventError(msg)


def _is_position(raw: Any) -> bool:
    return type(raw) is str and _POSITION.fullmatch(raw) is not None


def _row(raw: Mapping[str, Any], facet: FacetKey) -> tuple[dict[str, Any] | None, frozenset[str]]:
    op, fields, unavailable = raw.get("op", "upsert"), raw.get("fields"), raw.get("unavailable")
    name = facet_name(facet)
    if op == "delete":
        if fields or unavailable:
            msg = "a delete carries neither 'fields' nor 'unavailable'"
            raise InvalidEventError(msg)
        normalise_fields(name, {})
        return None, _NOTHING_UNAVAILABLE
    if op != "upsert":
        msg = f"op {shown(op)} is neither 'upsert' nor 'delete'"
        raise InvalidEventError(msg)
    if type(fields) is not dict:
        msg = "an upsert needs 'fields', an object with the whole row of the facet"
        raise InvalidEventError(msg)
    normal = normalise_fields(name, fields)
    if not unavailable:
        return normal, _NOTHING_UNAVAILABLE
    return normal, _unavailable(unavailable, name, normal)


def _unavailable(raw: Any, facet: str, fields: Mapping[str, Any]) -> frozenset[str]:
    if type(raw) is not list or len(raw) > MAX_UNAVAILABLE or not all(type(name) is str for name in raw):
        msg = f"'unavailable' is not a list of at most {MAX_UNAVAILABLE} field names"
        raise InvalidEventError(msg)
    for name in raw:
        field_rule(facet, name)
    names = frozenset(map(canonical_field_name, raw))
    if not names.isdisjoint(fields):
        both = ", ".join(sorted(names & fields.keys()))
        msg = f"a field is both given and unavailable: {both}"
        raise InvalidEventError(msg)
    return names


def _changed_at_us(raw: Any) -> int:
    if type(raw) is int and (raw == 0 or _MICROSECONDS_FROM <= raw < 2**63):
        return raw
    if type(raw) is str and len(raw) <= 40:
        try:
            moment = datetime.fromisoformat(raw)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None and moment >= _EPOCH_START:
            elapsed = moment - _EPOCH_START
            return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
    msg = "'changed_at' is neither microseconds since 1970 nor an ISO 8601 time with its zone"
    raise InvalidEventError(msg)
