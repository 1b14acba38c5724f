"""Times on the wire: inside, microseconds since 1970; outside, RFC 3339 in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_END_US: Final = (datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def instant(microseconds: int) -> datetime | None:
    """The instant in UTC; None for 0 (unknown) and for a count that no calendar date has."""
    if not 0 < microseconds <= _END_US:
        return None
    return _EPOCH + timedelta(microseconds=microseconds)
