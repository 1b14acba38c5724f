"""A dead letter: its headers, and its form, which its topic always takes. Pure.

A letter is whole where it fits, else the beginning of its record with the digest and the size. What a shop sends decides
how large a letter is, so nothing of it may be taken for small: the value, the key, the number of the headers and each of
them are bounded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from schemas.errors import PoisonError
from schemas.identity import SkuKey

Headers = Sequence[tuple[str, bytes | None]]

OWN_HEADERS: Final = "ferroflux."
"""What our own headers begin with; an original's headers of that kind are replaced by the letter's."""
TAKEN_HEADER: Final = "ferroflux.taken"
"""On a record that was sent again: when a log first took it, milliseconds since 1970. It is judged by that time."""
TRUNCATED_HEADER: Final = "ferroflux.truncated"
DIGEST_HEADER: Final = "ferroflux.digest"
SIZE_HEADER: Final = "ferroflux.size"
ATTEMPT_HEADER: Final = "ferroflux.attempt"
"""On a dead letter and on its redriven record: how often the record has been tried."""

LONGEST_DETAIL: Final = 1000
"""Characters of a reason's sentence that are kept: it travels in headers and is read by people."""
_MOST_ATTEMPTS: Final = 999_999
_TIME_DIGITS: Final = 15
_NULL_HEADER: Final = "ferroflux.null"


def _header(name: str) -> str:
    return f"ferroflux.{name}"


class DeadLetterHeaders(BaseModel):
    """Headers that stand beside the original key, value and headers of a record; each value is UTF-8 text."""

    model_config = ConfigDict(alias_generator=_header, frozen=True)

    reason: str = Field(description="Stable code of the error: the table is in docs/reference/events.md.")
    detail: str = Field(description="A sentence for the operator, at most 1,000 characters.")
    topic: str = Field(description="Topic of the original record.")
    partition: str = Field(description="Partition of the original record, decimal.")
    offset: str = Field(description="Offset of the original record, decimal.")
    timestamp: str = Field(description="Timestamp of the original record, milliseconds since 1970, decimal.")
    taken: str | None = Field(
        None,
        description="When the log first took the record, milliseconds since 1970, decimal; a redriven record keeps it, and is judged by it.",
    )
    attempt: str = Field(description="How often the record has been tried, redrives included, decimal.")
    tenant: str = Field(description="The tenant where it is known, else empty.")
    time: str = Field(description="When the dead letter was written, microseconds since 1970, decimal.")
    null: Literal["value"] | None = Field(None, description="Present where the original had neither key nor value.")
    truncated: str | None = Field(
        None,
        description="Present where the letter holds only the beginning of the original, which was too large for the topic: the parts that are cut, of value, headers and key, with commas between.",
    )
    digest: str | None = Field(None, description="With `truncated`: SHA-256 of the original's whole value, hex digits.")
    size: str | None = Field(None, description="With `truncated`: bytes of the original's whole value, decimal.")


class LetterRecord(NamedTuple):
    """A letter as a record of the dead-letter topic."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class _Budget:
    """How many bytes of each part of the original are kept."""

    value: int
    headers: int
    key: int


_BUDGETS: Final = (_Budget(64 * 1024, 32 * 1024, 4 * 1024), _Budget(8 * 1024, 2 * 1024, 1024), _Budget(0, 0, 256))
"""Tried in their order; the last leaves some 3 KB with our own headers, which every topic takes."""

_MOST_HEADERS: Final = 100
_RECORD_OVERHEAD: Final = 128
"""More than a batch of one record costs beside its key, value and headers."""
_HEADER_OVERHEAD: Final = 16


def own_headers(
    *,
    reason: str,
    detail: str,
    topic: str,
    partition: int,
    offset: int,
    timestamp_ms: int,
    attempt: int,
    tenant: str,
    now_us: int,
    taken_ms: int | None = None,
) -> dict[str, str]:
    """The headers of a letter that are ours: why, the original's coordinates, how often it was tried, and when this was said."""
    taken = {} if taken_ms is None else {TAKEN_HEADER: str(taken_ms)}
    return {
        "ferroflux.reason": reason,
        "ferroflux.detail": detail[:LONGEST_DETAIL],
        "ferroflux.topic": topic,
        "ferroflux.partition": str(partition),
        "ferroflux.offset": str(offset),
        "ferroflux.timestamp": str(timestamp_ms),
        **taken,
        ATTEMPT_HEADER: str(attempt),
        "ferroflux.tenant": tenant,
        "ferroflux.time": str(now_us),
    }


def previous_attempts(headers: Headers) -> int:
    """How often a redriven record had been tried before, as its header says; 0 for one that comes fresh from its source."""
    for name, value in headers:
        if name == ATTEMPT_HEADER and value is not None and value.isdigit():
            return min(int(value[:9]), _MOST_ATTEMPTS)
    return 0


def first_taken_ms(headers: Headers) -> int | None:
    """When a log first took a record that was sent again, as its header says; None for one that comes fresh from its source."""
    for name, value in headers:
        if name == TAKEN_HEADER and value is not None and value.isdigit() and len(value) <= _TIME_DIGITS:
            return int(value)
    return None


def tenant_named(key: str) -> str:
    """The tenant for the operator's filter, guessed from a record's key where that reads `tenant/sku`; else empty."""
    try:
        return SkuKey.parse(key).tenant
    except PoisonError:
        return ""


def fitting_letter(
    key: bytes | None, value: bytes | None, headers: Headers, ours: Mapping[str, str], *, most: int
) -> LetterRecord:
    """The letter of a record in at most `most` bytes, `ours` beside the record's own headers.

    Truncated, it names the parts that are not whole, and the value's SHA-256 and size: with its coordinates, enough to
    find the original again and to know it.
    """
    own = [(name, text.encode("utf-8", errors="replace")) for name, text in ours.items()]
    if (
        key is None and value is None
    ):  # Kafka takes no record without both: such a one becomes empty, and a header says so
        value, own = b"", [*own, (_NULL_HEADER, b"value")]
    theirs = [(name, one) for name, one in headers if not name.startswith(OWN_HEADERS)]
    whole = LetterRecord(key, value, [*theirs, *own])
    if letter_bytes(whole) <= most:
        return whole
    for budget in _BUDGETS:
        letter = _truncated(key, value, theirs, own, budget)
        if letter_bytes(letter) <= most:
            break
    return letter


def letter_bytes(letter: LetterRecord) -> int:
    """Not less than what the record takes in its topic."""
    headers = sum(
        len(name.encode("utf-8", "replace")) + len(one or b"") + _HEADER_OVERHEAD for name, one in letter.headers
    )
    return _RECORD_OVERHEAD + len(letter.key or b"") + len(letter.value or b"") + headers


def _truncated(
    key: bytes | None, value: bytes | None, theirs: Headers, own: list[tuple[str, bytes]], budget: _Budget
) -> LetterRecord:
    kept, room = [], budget.headers
    for name, one in theirs[:_MOST_HEADERS]:
        room -= len(name.encode("utf-8", "replace")) + len(one or b"") + _HEADER_OVERHEAD
        if room < 0:
            break
        kept.append((name, one))
    parts = {
        "value": value is not None and len(value) > budget.value,
        "headers": len(kept) < len(theirs),
        "key": key is not None and len(key) > budget.key,
    }
    note = {
        TRUNCATED_HEADER: ",".join(part for part, cut in parts.items() if cut),
        DIGEST_HEADER: sha256(value or b"").hexdigest(),
        SIZE_HEADER: str(len(value or b"")),
    }
    return LetterRecord(
        None if key is None else key[: budget.key],
        None if value is None else value[: budget.value],
        [*kept, *own, *((name, text.encode()) for name, text in note.items())],
    )
