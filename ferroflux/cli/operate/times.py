"""Times and durations of the operator's commands: `2h`, `15d`, `2026-11-20`, `2026-11-20T10:00+01:00`."""

import re
from datetime import UTC, datetime
from typing import Final

from runtime.clock import SYSTEM_CLOCK
from schemas.errors import InvalidRequestError

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)\s*([smhd])")


def duration_s(text: str) -> float:
    """Seconds of `90s`, `15m`, `2h` or `3d`.

    Raises:
        InvalidRequestError: it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise InvalidRequestError(f"{text!r} is no duration: give a number with s, m, h or d, such as 15d")
    return float(match[1]) * _UNITS[match[2]]


def moment_us(text: str, now_us: int | None = None) -> int:
    """Microseconds since 1970 of a duration ago or of an ISO 8601 time; one without a zone is UTC.

    Raises:
        InvalidRequestError: it is neither.
    """
    if _DURATION.fullmatch(text.strip()):
        return (SYSTEM_CLOCK.now_us() if now_us is None else now_us) - int(duration_s(text) * 1e6)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidRequestError(
            f"{text!r} is no time: give 2h (ago), 2026-11-20 or 2026-11-20T10:00+01:00"
        ) from error
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    return int(moment.timestamp() * 1e6)


def shown(us: int) -> str:
    """A time for the table, UTC to the second."""
    return datetime.fromtimestamp(us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S") if us else "-"
