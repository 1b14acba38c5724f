"""What a version's number looks like: microseconds, milliseconds or seconds of a clock, or a count. Pure.

Versions of two counts do not compare: a log position (10^11) against microseconds (10^15) lets the larger count win for
ever. A version does not say which count it belongs to, but its magnitude does.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from schemas.version import MAX_SEQUENCE, SourceVersion

_FIRST_S: Final = int(datetime(2001, 1, 1, tzinfo=UTC).timestamp())
_END_S: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())

_NEAR: Final = 16
"""Two numbers of one count lie within this factor where its growth alone takes it into another scale's range.

A log position may pass the smallest number of milliseconds (10^12) in the middle of its life. From one clock's unit to the
next it is a thousand, from the positions of a busy log to microseconds a hundred or more.
"""


class Scale(StrEnum):
    """What a sequence looks like."""

    COUNT = "a count or a log position"
    SECONDS = "seconds of a clock"
    MILLISECONDS = "milliseconds of a clock"
    MICROSECONDS = "microseconds of a clock"


def scale_of(version: SourceVersion) -> Scale:
    """By magnitude: what lies from 2001 to 2100 in a unit of time is taken for a time in it."""
    for scale, unit in ((Scale.MICROSECONDS, 1_000_000), (Scale.MILLISECONDS, 1_000), (Scale.SECONDS, 1)):
        if _FIRST_S * unit <= version.sequence < _END_S * unit:
            return scale
    return Scale.COUNT


def differ(one: SourceVersion, other: SourceVersion) -> bool:
    """Whether two versions are of different counts: of different scales, and too far apart to be growth."""
    low, high = sorted((one.sequence, other.sequence))
    return scale_of(one) is not scale_of(other) and high >= _NEAR * low


def is_largest(version: SourceVersion) -> bool:
    """Whether no version of the same epoch can be newer."""
    return version.position is None and version.sequence >= MAX_SEQUENCE


def told(version: SourceVersion) -> str:
    """A version for a person: the number, and the time where it is one."""
    if scale_of(version) is not Scale.MICROSECONDS:
        return str(version)
    at = datetime.fromtimestamp(version.sequence // 1_000_000, UTC)
    return f"{version} ({at:%Y-%m-%d %H:%M:%S} UTC)"
