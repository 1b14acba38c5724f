"""The version of a Debezium change: its place in the source's history (docs/decisions/0003 and 0071 have the reasons).

One history has one kind of place. A PostgreSQL source counts in LSNs and a MySQL source in binlog positions; a
microsecond clock between them would compare as newer than every LSN and silently freeze the row. So a snapshot read
without a position ranks below every position of its epoch, and a streamed change without one is rejected.

Of other connectors the sequence is the commit clock, and where they say more (`schemas.events.wide_positions`) a wide position
orders what a clock cannot: changes of one transaction, and what was committed while a snapshot was read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from schemas.errors import InvalidEventError
from schemas.events.wide_positions import wide_position
from schemas.normalisers import shown
from schemas.version import MAX_SEQUENCE, SourceVersion

VersionMode = Literal["auto", "position", "clock"]
"""`auto`: the position where the connector has one, else the commit clock; `position`: never the clock alone; `clock`: only that."""

_FILE_BITS: Final = 20
_POSITION_BITS: Final = 32
_ROW_BITS: Final = 12
_WIDE_POSITION_BITS: Final = 64
_WIDE_ROW_BITS: Final = 32
FIRST_BINLOG_SEQUENCE: Final = 1 << (_POSITION_BITS + _ROW_BITS)
"""Binlog files count from 1, so every MySQL position is at least this; milliseconds since 1970 stay below until 2527."""

_LSN_DIGITS: Final = 21
"""One more than the longest LSN has: a longer text is out of range, and is not made a number of its length."""

_FILE_NUMBER = re.compile(r"\.([0-9]{1,10})$")
_NO_SNAPSHOT: Final = frozenset({None, False, "false"})


@dataclass(frozen=True, slots=True)
class SourceRule:
    """What the operator says of one source: its epoch, and what its changes are ordered by."""

    epoch: int = 0
    version: VersionMode = "auto"
    name: str = ""
    """Its name among the sources of facets; empty where the mapping gives it none."""


def is_snapshot_read(op: str, source: Mapping[str, Any]) -> bool:
    """Whether the row was read from its table rather than from the log; MySQL's older connectors call it a create."""
    snapshot = source.get("snapshot")
    if type(snapshot) is not str and type(snapshot) is not bool:
        snapshot = None
    return op == "r" or snapshot not in _NO_SNAPSHOT


def source_version(
    source: Mapping[str, Any], rule: SourceRule, *, snapshot_read: bool, processed_ms: int, order: int | None = None
) -> SourceVersion:
    """The version of one change.

    `processed_ms` is when the connector made the event, milliseconds since 1970; `order` the event's number in its
    transaction, where the connector gives it (provide.transaction.metadata).

    Raises:
        InvalidEventError: a streamed change has no position, or one that is out of range.
    """
    connector = source.get("connector")
    position = None
    if rule.version != "clock" and connector == "postgresql":
        sequence = _lsn(source)
        if sequence is None and snapshot_read:
            sequence = _lsn_of_sequence(source)
        fallback, missing = 0, "source.lsn"
    elif rule.version != "clock" and connector in ("mysql", "mariadb"):
        sequence, position = _binlog_place(source)
        fallback, missing = min(max(processed_ms, 0), FIRST_BINLOG_SEQUENCE - 1), "source.file and source.pos"
    else:
        return _by_clock(source, rule, snapshot_read=snapshot_read, processed_ms=processed_ms, order=order)
    if sequence is None:
        if not snapshot_read:
            msg = f"the change has no {missing}, so its place in the history is unknown"
            raise InvalidEventError(msg)
        sequence = fallback
    return SourceVersion(rule.epoch, sequence, position)


def _by_clock(
    source: Mapping[str, Any], rule: SourceRule, *, snapshot_read: bool, processed_ms: int, order: int | None
) -> SourceVersion:
    """Counted by the commit clock, and placed where the connector says where in its log the change is.

    A source that does not know when it committed (a time of zero or below) counts by the connector's clock, which is a little later.
    """
    position = None
    sequence = commit_time_us(source)
    if rule.version != "clock":
        position = wide_position(source, snapshot_read=snapshot_read, clock_us=sequence, order=order)
    if position is None and rule.version == "position":
        msg = (
            f"the mapping asks for positions, but this change of connector {shown(source.get('connector'))} has none; "
            "use version: clock, or auto"
        )
        raise InvalidEventError(msg)
    if not sequence and not snapshot_read:
        sequence = max(processed_ms, 0) * 1_000
        if not sequence and position is None:
            msg = "the change has no commit time (source.ts_us, ts_ns or ts_ms), so its place in the history is unknown"
            raise InvalidEventError(msg)
    return SourceVersion.of(sequence, rule.epoch, position)


def commit_time_us(source: Mapping[str, Any]) -> int:
    """When the source committed the change, microseconds since 1970; 0 where it does not say."""
    for name, numerator, denominator in (("ts_us", 1, 1), ("ts_ns", 1, 1_000), ("ts_ms", 1_000, 1)):
        value = source.get(name)
        if type(value) is int and value > 0:
            return min(value * numerator // denominator, 2**63 - 1)
    return 0


def pack_binlog(file_number: int, position: int, row: int) -> int:
    """One 64-bit number of a binlog file's number (20 bits), the event's position (32) and the row in it (12).

    A position or a row that needs more bits shares the greatest number that fits.

    Raises:
        InvalidEventError: the file's number needs more bits, or a number is below zero.
    """
    if not 0 <= file_number < 1 << _FILE_BITS or not 0 <= position < 1 << _WIDE_POSITION_BITS or row < 0:
        msg = f"binlog position (file {file_number}, pos {position}, row {row}) is out of range"
        raise InvalidEventError(msg)
    fits = position < 1 << _POSITION_BITS
    position, row = (position, row) if fits else ((1 << _POSITION_BITS) - 1, 1 << _ROW_BITS)
    return (file_number << _POSITION_BITS | position) << _ROW_BITS | min(row, (1 << _ROW_BITS) - 1)


def _lsn_of_sequence(source: Mapping[str, Any]) -> int | None:
    """Where the stream stood when a chunk of an incremental snapshot was closed.

    Such a read has no `lsn`, only `sequence`: the last commit's LSN and the last event's, as JSON text of texts.
    """
    raw = source.get("sequence")
    if type(raw) is not str:
        return None
    try:
        position = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if type(position) is not list or not position or type(position[-1]) is not str or not position[-1].isdecimal():
        return None
    return _lsn({"lsn": int(position[-1][:_LSN_DIGITS])})


def _lsn(source: Mapping[str, Any]) -> int | None:
    lsn = source.get("lsn")
    if type(lsn) is not int or lsn <= 0:
        return None
    if lsn > MAX_SEQUENCE:
        msg = f"source.lsn {lsn} is out of range"
        raise InvalidEventError(msg)
    return lsn


def _binlog_place(source: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The packed place of a change, and its wide one where 64 bits do not hold it.

    A transaction beyond 4 GiB goes on in its file, whose positions have 32 bits in the log: of the event across the border the
    connector makes a negative one (the next event's, less the length). Those after it begin at 0 again, and nothing in them says so.
    """
    file, position, row = source.get("file"), source.get("pos"), source.get("row")
    if type(file) is not str or not file or type(position) is not int:
        return None, None
    number = _FILE_NUMBER.search(file)
    if number is None or int(number[1]) == 0:
        msg = f"binlog file {file[:80]!r} does not end in its number"
        raise InvalidEventError(msg)
    if -(1 << _POSITION_BITS) < position < 0:
        position += 1 << _POSITION_BITS
    row = row if type(row) is int else 0
    packed = pack_binlog(int(number[1]), position, row)
    if position < 1 << _POSITION_BITS and row < 1 << _ROW_BITS:
        return packed, None
    return packed, (int(number[1]) << _WIDE_POSITION_BITS | position) << _WIDE_ROW_BITS | min(
        row, (1 << _WIDE_ROW_BITS) - 1
    )
