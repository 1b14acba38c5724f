"""The body of a request into change events, as it comes: JSON lines, a JSON list, or one JSON object. Pure.

Reading ends with the twentieth event that breaks the contract and with one event too many: a body of garbage costs no
more than its beginning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import orjson
import structlog

from ferroflux.embedded.intake.intake import OutboundChange
from ferroflux.embedded.intake.splitting import DocumentSplitter, LineSplitter, Member, Splitter, require_shape
from schemas.api.limits import MAX_CHANGE_BYTES, MAX_CHANGES, MAX_REPORTED
from schemas.api.problems import InvalidField
from schemas.errors import InvalidRequestError, PoisonError
from schemas.events.canonical import canonical_source, encode_event, parse_canonical
from schemas.identity import TenantId
from schemas.product.sources import OPERATOR_SOURCE

log = structlog.get_logger(__name__)

MAX_MEMBER_BYTES: Final = 3 * 1024 * 1024
"""Bytes of one event as it is sent: three times what the log takes of it, since `ñ` written as `\\u00f1` is three times as long.

Decoded, it takes up to nine times its bytes (numbers of three digits).
"""

_LONGEST_DETAIL: Final = 500


class InvalidChangesError(InvalidRequestError):
    """Some events of the request break the contract, so none was taken. `errors` names the first of them by their place, from 1."""

    def __init__(self, wrong: list[InvalidField], seen: int, place_name: str, *, whole: bool) -> None:
        counted = f"{len(wrong)} of {seen} events" if whole else f"{len(wrong)} of the first {seen} events"
        unread = "" if whole else ", what follows was not looked at"
        super().__init__(
            f"{counted} break the contract, none was taken{unread}; {place_name} {wrong[0].field}: {wrong[0].detail}"
        )
        self.errors = wrong


@dataclass(frozen=True, slots=True)
class ParsedChanges:
    """The events of a request, ready for the log, and the tenants that they are about."""

    changes: tuple[OutboundChange, ...]
    tenants: frozenset[TenantId]


class ChangeReader:
    """Reads one body, piece by piece: all of its events or none."""

    def __init__(self, *, lines: bool, default_tenant: TenantId) -> None:
        self._splitter: Splitter = LineSplitter(MAX_MEMBER_BYTES) if lines else DocumentSplitter(MAX_MEMBER_BYTES)
        self._default_tenant = default_tenant
        self._changes: list[OutboundChange] = []
        self._tenants: set[TenantId] = set()
        self._wrong: list[InvalidField] = []
        self._seen = 0

    def feed(self, piece: bytes) -> None:
        """Read on.

        Raises:
            InvalidChangesError: the most faults that are named were found.
            InvalidRequestError: the body is no JSON, or holds too many events.
        """
        for member in self._splitter.feed(piece):
            self._take(member)

    def end(self, piece: bytes = b"") -> ParsedChanges:
        """Read the last piece and give the events.

        Raises:
            InvalidChangesError: an event breaks the contract.
            InvalidRequestError: the body is no JSON, or holds no event or too many.
        """
        self.feed(piece)
        for member in self._splitter.end():
            self._take(member)
        if self._wrong:
            raise InvalidChangesError(self._wrong, self._seen, self._splitter.place_name, whole=True)
        if not self._seen:
            raise InvalidRequestError(f"the request holds no event; it may hold 1 to {MAX_CHANGES}")
        return ParsedChanges(tuple(self._changes), frozenset(self._tenants))

    def _take(self, member: Member) -> None:
        self._seen += 1
        if self._seen > MAX_CHANGES:
            raise InvalidRequestError(
                f"the request holds more than {MAX_CHANGES} events; send them in several requests"
            )
        try:
            raw = self._object(member)
            source = _require_own(canonical_source(raw))
            event = parse_canonical(raw, self._default_tenant)
            change = _sized(OutboundChange(event.key.kafka_key, encode_event(event, source)))
        except (PoisonError, InvalidRequestError) as error:
            self._note(member, str(error), error)
            return
        except Exception as error:
            # A defect of ours that this event shows: its sender is told which it is, and can send the others without it.
            log.exception("change could not be parsed", place=member.place)
            self._note(member, f"cannot be read, by a defect of ours ({type(error).__name__}); report it", error)
            return
        self._changes.append(change)
        self._tenants.add(event.key.tenant)

    def _note(self, member: Member, detail: str, error: Exception) -> None:
        self._wrong.append(InvalidField(field=str(member.place), detail=detail[:_LONGEST_DETAIL]))
        if len(self._wrong) == MAX_REPORTED:
            raise InvalidChangesError(self._wrong, self._seen, self._splitter.place_name, whole=False) from error

    def _object(self, member: Member) -> dict[str, Any]:
        if member.raw is None:
            raise self._unreadable(f"is longer than {MAX_MEMBER_BYTES} bytes")
        require_shape(member.raw)
        try:
            decoded = orjson.loads(member.raw)
        except orjson.JSONDecodeError as error:
            raise self._unreadable(f"is not JSON: {error}") from error
        if not isinstance(decoded, dict):
            raise InvalidRequestError(f"is a JSON {type(decoded).__name__}, not an object")
        return decoded

    def _unreadable(self, reason: str) -> InvalidRequestError:
        alone = isinstance(self._splitter, DocumentSplitter) and not self._splitter.is_list
        hint = "; for one event a line, send Content-Type: application/x-ndjson" if alone else ""
        return InvalidRequestError(f"{reason}{hint}")


def _require_own(source: str) -> str:
    if source == OPERATOR_SOURCE:
        raise InvalidRequestError(
            f"source {OPERATOR_SOURCE} is reserved for corrections: send the name of the source itself"
        )
    return source


def _sized(change: OutboundChange) -> OutboundChange:
    if len(change.value) > MAX_CHANGE_BYTES:
        raise InvalidRequestError(f"has {len(change.value)} bytes, more than {MAX_CHANGE_BYTES}")
    return change
