"""Places in a source's log that 64 bits do not hold, as one number of up to 320 bits.

Without them such sources were ordered by their commit clock alone, which is the same for all changes of one transaction, and which
ranks a row that a snapshot read after a change that was committed meanwhile, though the snapshot does not see it.

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
from typing import Any, Final

from schemas.errors import InvalidEventError

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
    placed = _BY_CONNECTOR.get(connector, _by_clock) if type(connector) is str else _by_clock
    return placed(source, snapshot_read, clock_us, order)


def is_of_a_log(source: Mapping[str, Any]) -> bool:
    """Whether the connector's wide position is one of its log, rather than of a clock with numbers below it."""
    return source.get("connector") in ("sqlserver", "db2", "oracle", "mysql", "mariadb")


def _by_lsn(source: Mapping[str, Any], snapshot_read: bool, clock_us: int, order: int | None) -> int | None:
    del clock_us
    commit = _lsn(source, "commit_lsn")
    if commit is None:
        return None
    change = _lsn(source, "change_lsn")
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


def _by_clock(source: Mapping[str, Any], snapshot_read: bool, clock_us: int, order: int | None) -> int | None:
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


def _lsn(source: Mapping[str, Any], member: str) -> int | None:
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
