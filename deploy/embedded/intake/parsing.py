"""The body of a request into change events: JSON lines, a JSON list, or one JSON object. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from deploy.embedded.intake.intake import MAX_RECORD_BYTES, OutboundChange
from schemas.api.problems import InvalidField
from schemas.errors import InvalidRequestError, PoisonError
from schemas.events.canonical import encode_event, parse_canonical
from schemas.identity import TenantId

MAX_EVENTS: Final = 2_000
"""Events of one request."""

_MAX_REPORTED: Final = 20


class InvalidChangesError(InvalidRequestError):
    """Some events of the request break the contract, so none was taken. `errors` names them by their place, from 1."""

    def __init__(self, wrong: list[InvalidField], total: int) -> None:
        super().__init__(
            f"{len(wrong)} of {total} events break the contract, none was taken; "
            f"event {wrong[0].field}: {wrong[0].detail}"
        )
        self.errors = wrong[:_MAX_REPORTED]


@dataclass(frozen=True, slots=True)
class ParsedChanges:
    """The events of a request, ready for the log, and the tenants that they are about."""

    changes: tuple[OutboundChange, ...]
    tenants: frozenset[TenantId]


def parse_changes(body: bytes, *, lines: bool, default_tenant: TenantId) -> ParsedChanges:
    """Read a body; all of its events or none.

    Raises:
        InvalidChangesError: an event breaks the contract.
        InvalidRequestError: the body is no JSON, or holds no event or too many.
    """
    members = list(_lines(body) if lines else _members(body))
    if not members or len(members) > MAX_EVENTS:
        raise InvalidRequestError(f"the request holds {len(members)} events; it may hold 1 to {MAX_EVENTS}")
    changes: list[OutboundChange] = []
    tenants: set[TenantId] = set()
    wrong: list[InvalidField] = []
    for place, member in enumerate(members, start=1):
        try:
            event = parse_canonical(_object(member), default_tenant)
            change = _sized(OutboundChange(event.key.kafka_key, encode_event(event)))
        except (PoisonError, InvalidRequestError) as error:
            wrong.append(InvalidField(field=str(place), detail=str(error)))
            continue
        changes.append(change)
        tenants.add(event.key.tenant)
    if wrong:
        raise InvalidChangesError(wrong, len(members))
    return ParsedChanges(tuple(changes), frozenset(tenants))


def _lines(body: bytes) -> Iterator[Any]:
    for line in body.splitlines():
        if line.strip():
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield error


def _members(body: bytes) -> list[Any]:
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(
            f"the body is not JSON ({error}); for one event a line, send Content-Type: application/x-ndjson"
        ) from error
    return decoded if isinstance(decoded, list) else [decoded]


def _sized(change: OutboundChange) -> OutboundChange:
    if change.size > MAX_RECORD_BYTES:
        raise InvalidRequestError(f"has {change.size} bytes, more than {MAX_RECORD_BYTES}")
    return change


def _object(member: Any) -> dict[str, Any]:
    if isinstance(member, orjson.JSONDecodeError):
        raise InvalidRequestError(f"is not JSON: {member}")
    if not isinstance(member, dict):
        raise InvalidRequestError(f"is a JSON {type(member).__name__}, not an object")
    return member
