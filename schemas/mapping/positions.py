"""The version of a Debezium change: its place in the source's history (docs/decisions/0003 and 0071 have the reasons).

One history has one kind of place. A PostgreSQL source counts in LSNs and a MySQL source in binlog positions; a
microsecond clock between them would compare as newer than every LSN and silently freeze the row. So a snapshot read
without a position ranks below every position of its epoch, and a streamed change without one is rejected.

Of other connectors the sequence is the commit clock, and where they say more a wide position, one number of up to 320 bits, orders
what a clock cannot: changes of one transaction, and what was committed while a snapshot was read.

- SQL Server, Db2: commit LSN, change LSN, serial number of the event.
- Oracle: commit SCN, SCN, record set and number in it (RS_ID and SSN of LogMiner).
- MongoDB: cluster time and ordinal, then the event's number in its transaction.
- Any other: the commit clock, then the event's number in its transaction, where the connector gives that.

A snapshot reads all that was committed up to its position, so its rows are above every change that was committed there, and below
every later one. Field names are those of Debezium's source blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from schemas.errors import InvalidEventError
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


_LSN_BITS: Final = 128
_SCN_BITS: Final = 64
_RECORD_SET_BITS: Final = 96
_CLOCK_BITS: Final = 64
_NUMBER_BITS: Final = 32

_LSN = re.compile(r"[0-9A-Fa-f]{1,32}(:[0-9A-Fa-f]{1,16}){0,3}")
_RECORD_SET = re.compile(r"0[xX]([0-9A-Fa-f]{1,8})\.([0-9A-Fa-f]{1,8})\.([0-9A-Fa-f]{1,8})")
_SCN = re.compile(r"[0-9]{1,20}")


def wide_position(source: Mapping[str, Any], *, snapshot_read: bool, clock_us: int, order: int | None) -> int | None:
    """Where in its source's log a change is; None where the source does not say.

    `clock_us` is the commit time in microseconds since 1970; `order` the event's number in its transaction.

    Raises:
        InvalidEventError: a position is there, and not of the form that its connector writes.
    """
    connector = source.get("connector")
    placed = _BY_CONNECTOR.get(connector, _wide_by_clock) if type(connector) is str else _wide_by_clock
    return placed(source, snapshot_read, clock_us, order)


def is_of_a_log(source: Mapping[str, Any]) -> bool:
    """Whether the connector's wide position is one of its log, rather than of a clock with numbers below it."""
    return source.get("connector") in ("sqlserver", "db2", "oracle", "mysql", "mariadb")


def _by_lsn(source: Mapping[str, Any], snapshot_read: bool, clock_us: int, order: int | None) -> int | None:
    del clock_us
    commit = _wide_lsn(source, "commit_lsn")
    if commit is None:
        return None
    change = _wide_lsn(source, "change_lsn")
    if change is None:
        change = _all_ones(_LSN_BITS) if snapshot_read else 0
    serial = _number(source.get("event_serial_no"), order)
    return _packed((commit, _LSN_BITS), (change, _LSN_BITS), (_read_last(serial, snapshot_read), _NUMBER_BITS))


def _by_scn(source: Mapping[str, Any], snapshot_read: bool, clock_us: int, order: int | None) -> int | None:
    del clock_us
    change = _scn(source, "scn")
    if change is None:
        return None
    if snapshot_read:
        rest = _all_ones(_SCN_BITS + _RECORD_SET_BITS + _NUMBER_BITS)
        return _packed((change, _SCN_BITS), (rest, _SCN_BITS + _RECORD_SET_BITS + _NUMBER_BITS))
    commit = _scn(source, "commit_scn")
    return _packed(
        (change if commit is None else commit, _SCN_BITS),
        (change, _SCN_BITS),
        (_record_set(source.get("rs_id")), _RECORD_SET_BITS),
        (_number(source.get("ssn"), order), _NUMBER_BITS),
    )


def _by_ordinal(source: Mapping[str, Any], snapshot_read: bool, clock_us: int, order: int | None) -> int | None:
    if not clock_us or type(source.get("ord")) is not int:
        return None
    number = _read_last(_number(order, None), snapshot_read)
    return _packed((clock_us, _CLOCK_BITS), (_number(source["ord"], None), _NUMBER_BITS), (number, _NUMBER_BITS))


def _wide_by_clock(source: Mapping[str, Any], snapshot_read: bool, clock_us: int, order: int | None) -> int | None:
    del source
    if not clock_us or order is None:
        return None
    return _packed((clock_us, _CLOCK_BITS), (_read_last(_number(order, None), snapshot_read), _NUMBER_BITS))


_BY_CONNECTOR: Final[Mapping[Any, Callable[[Mapping[str, Any], bool, int, int | None], int | None]]] = {
    "sqlserver": _by_lsn,
    "db2": _by_lsn,
    "oracle": _by_scn,
    "mongodb": _by_ordinal,
}


def _packed(*parts: tuple[int, int]) -> int:
    """Numbers one after another, the first the most significant, each in its bits."""
    packed = 0
    for number, bits in parts:
        packed = packed << bits | number
    return packed


def _all_ones(bits: int) -> int:
    return (1 << bits) - 1


def _read_last(number: int, snapshot_read: bool) -> int:
    return _all_ones(_NUMBER_BITS) if snapshot_read else number


def _number(raw: Any, otherwise: int | None) -> int:
    """A small number of the source, or another, in 32 bits; 0 where neither is one."""
    number = raw if type(raw) is int else otherwise
    return min(max(number or 0, 0), _all_ones(_NUMBER_BITS))


def _wide_lsn(source: Mapping[str, Any], member: str) -> int | None:
    """A log sequence number of hexadecimal groups (`00000027:00000758:0012`), each of them padded to eight digits."""
    raw = source.get(member)
    if raw is None:
        return None
    if type(raw) is not str or not _LSN.fullmatch(raw) or len(digits := _padded(raw.split(":"))) > _LSN_BITS // 4:
        raise InvalidEventError(f"source.{member} {str(raw)[:80]!r} is not a log sequence number in hexadecimal groups")
    return int(digits, 16)


def _padded(groups: list[str]) -> str:
    return "".join(group.zfill(8) for group in groups)


def _scn(source: Mapping[str, Any], member: str) -> int | None:
    """A system change number, which Oracle's connector writes as decimal text."""
    raw = source.get(member)
    if raw is None or raw == "":
        return None
    text = str(raw) if type(raw) in (int, str) else ""
    if not _SCN.fullmatch(text) or int(text) > _all_ones(_SCN_BITS):
        raise InvalidEventError(f"source.{member} {str(raw)[:80]!r} is not a system change number")
    return int(text)


def _record_set(raw: Any) -> int:
    """The record set of a change, `0x0000c3.00001e2d.0010`: log sequence, block, offset. 0 where there is none."""
    found = _RECORD_SET.search(raw[:64]) if type(raw) is str else None
    return int(_padded(list(found.groups())), 16) if found else 0
