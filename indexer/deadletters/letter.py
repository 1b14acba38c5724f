"""A dead letter read back, and the marker that settles one: both are records of the dead-letter topic.

A letter is never deleted: redriving or discarding it appends a marker beside it, so the topic is its own history, and
the two leave it together when its retention is over (decision 0022). `DeadLetterStore` is the port to where they are kept:
Kafka's topic, or the embedded system's file.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, Protocol

from indexer.records import InboundRecord
from schemas.errors import InvalidRequestError
from schemas.events.dead_letters import (
    ATTEMPT_HEADER,
    DIGEST_HEADER,
    OWN_HEADERS,
    TAKEN_HEADER,
    TRUNCATED_HEADER,
    first_taken_ms,
)

_PREFIX: Final = OWN_HEADERS
SETTLES_HEADER: Final = "ferroflux.settles"
SETTLEMENT_HEADER: Final = "ferroflux.settlement"
TIME_HEADER: Final = "ferroflux.time"
_REASON_HEADER: Final = "ferroflux.reason"
_COUNT: Final = re.compile(r"[0-9]{1,19}")


class Settlement(StrEnum):
    """What became of a letter."""

    REDRIVEN = "redriven"
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, order=True)
class LetterId:
    """Where the letter stands in the dead-letter topic; written `partition-offset`."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> LetterId:
        """Read `partition-offset`.

        Raises:
            InvalidRequestError: it is none.
        """
        partition, dash, offset = text.partition("-")
        if not (dash and partition.isdigit() and offset.isdigit()):
            raise InvalidRequestError(f"{text[:40]!r} is no dead letter's id, which is of the form partition-offset")
        return cls(int(partition), int(offset))

    def __str__(self) -> str:
        return f"{self.partition}-{self.offset}"


@dataclass(frozen=True, slots=True)
class Truncation:
    """What of an original is not in its letter, and how the original is known again."""

    parts: tuple[str, ...]
    digest: str
    size: int

    def fits(self, record: InboundRecord) -> bool:
        """Whether a record is the original."""
        value = record.value or b""
        return len(value) == self.size and sha256(value).hexdigest() == self.digest


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter: why and when, how often tried, and the original record with its own headers.

    Where the original was too large for the topic, `truncated` says so and `original` holds its beginning.
    """

    id: LetterId
    reason: str
    detail: str
    tenant: str
    attempt: int
    time_us: int
    original: InboundRecord
    truncated: Truncation | None = None
    taken_ms: int | None = None
    """When a log first took the original; None in letters of releases that did not note it."""

    @property
    def origin(self) -> tuple[str, int, int, int, int]:
        """What two letters of the same failure share: a crash before the commit writes a letter again."""
        record = self.original
        return record.topic, record.partition, record.offset, record.timestamp_ms, self.attempt

    def redriven_headers(self) -> list[tuple[str, bytes | None]]:
        """The original's headers, how often it was tried, and when a log first took it: it is judged as if it were read there."""
        # A letter of a release that did not note it is no older than its record: never judged by the time of the redrive.
        taken_ms = self.taken_ms or self.time_us // 1_000
        taken = [(TAKEN_HEADER, str(taken_ms).encode())] if taken_ms else []
        return [*self.original.headers, (ATTEMPT_HEADER, str(self.attempt).encode()), *taken]

    def to_json(self, *, whole: bool) -> dict[str, Any]:
        """For programs and for the table; `whole` adds the original's key, headers and value (base64 where not UTF-8)."""
        record = self.original
        summary = {
            "id": str(self.id),
            "reason": self.reason,
            "detail": self.detail,
            "tenant": self.tenant,
            "attempt": self.attempt,
            "time_us": self.time_us,
            "record": record.coordinates,
            "key": _text(record.key),
        }
        if self.truncated is not None:
            summary["truncated"] = {
                "parts": list(self.truncated.parts),
                "size": self.truncated.size,
                "sha256": self.truncated.digest,
            }
        if not whole:
            return summary
        headers = [{"name": name, "value": _text(value)} for name, value in record.headers]
        return {**summary, "timestamp_ms": record.timestamp_ms, "headers": headers, "value": _text(record.value)}


@dataclass(frozen=True, slots=True)
class Marker:
    """Says what became of a letter."""

    settles: LetterId
    settlement: Settlement

    def headers(self, now_us: int) -> list[tuple[str, bytes | None]]:
        """The marker as headers of a record; its key is the letter's and its value is null."""
        return [
            (SETTLES_HEADER, str(self.settles).encode()),
            (SETTLEMENT_HEADER, self.settlement.value.encode()),
            (TIME_HEADER, str(now_us).encode()),
        ]


def read_record(record: InboundRecord) -> Letter | Marker | None:
    """What a record of the dead-letter topic is; None where another program wrote it."""
    ours = {
        name: (value or b"").decode("utf-8", "replace") for name, value in record.headers if name.startswith(_PREFIX)
    }
    if SETTLES_HEADER in ours:
        try:
            return Marker(LetterId.parse(ours[SETTLES_HEADER]), Settlement(ours.get(SETTLEMENT_HEADER, "")))
        except (InvalidRequestError, ValueError):
            return None
    if _REASON_HEADER not in ours:
        return None
    null = ours.get("ferroflux.null") == "value"
    original = InboundRecord(
        topic=ours.get("ferroflux.topic", ""),
        partition=_number(ours, "partition"),
        offset=_number(ours, "offset"),
        timestamp_ms=_number(ours, "timestamp"),
        key=record.key,
        value=None if null else record.value,
        headers=tuple((name, value) for name, value in record.headers if not name.startswith(_PREFIX)),
    )
    return Letter(
        id=LetterId(record.partition, record.offset),
        reason=ours[_REASON_HEADER],
        detail=ours.get("ferroflux.detail", ""),
        tenant=ours.get("ferroflux.tenant", ""),
        attempt=max(1, _number(ours, "attempt")),
        time_us=_number(ours, "time"),
        original=original,
        truncated=_truncation(ours),
        taken_ms=first_taken_ms(record.headers),
    )


def _truncation(ours: Mapping[str, str]) -> Truncation | None:
    parts = ours.get(TRUNCATED_HEADER)
    if parts is None:
        return None
    return Truncation(tuple(parts.split(",")), ours.get(DIGEST_HEADER, ""), _number(ours, "size"))


def _number(ours: Mapping[str, str], name: str) -> int:
    text = ours.get(f"{_PREFIX}{name}", "")
    return int(text) if _COUNT.fullmatch(text) else 0


def _text(raw: bytes | None) -> str | dict[str, str] | None:
    if raw is None:
        return None
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode("ascii")}


def copies(letters: Sequence[Letter]) -> dict[tuple[str, int, int, int, int], list[Letter]]:
    """Letters of the same failure together: those that hold their record whole first, then oldest first."""
    together: dict[tuple[str, int, int, int, int], list[Letter]] = {}
    for letter in letters:
        together.setdefault(letter.origin, []).append(letter)
    for same in together.values():
        same.sort(key=lambda letter: letter.truncated is not None)
    return together


class DeadLetterStore(Protocol):
    """Every method may raise LogUnavailableError."""

    def records(self) -> AsyncIterator[Sequence[InboundRecord]]:
        """Everything that is kept, letters and markers; of one partition in order."""
        ...

    def alone(self) -> AbstractAsyncContextManager[None]:
        """While it is held, no other operator can settle letters: one who tries to go on with an older hold fails."""
        ...

    async def settle(self, letters: Sequence[Sequence[Letter]], settlement: Settlement) -> None:
        """Mark letters, each with its copies, as settled; REDRIVEN also sends the first of each to its topic again.

        Both happen or neither does, as far as the store can promise it. Only within `alone`.

        Raises:
            RecordTooLargeError, RecordRefusedError: a topic will never take one of the records; nothing was settled.
        """
        ...

    async def original(self, letter: Letter) -> InboundRecord | None:
        """The record that a truncated letter is of, whole, as its topic or the journal still holds it; None where it is gone."""
        ...
