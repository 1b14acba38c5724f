"""When a change happened, by the source's own count, and the total order of events that follows from it.

A `SourceVersion` never comes from Kafka: offsets change with every replay, the source's count does not. Two different
rows can carry one version (a source that counts in milliseconds, a producer's bug), so events are ordered by their
`Stamp`: the version, then a digest of the event's canonical bytes. The order between such twins is arbitrary but the
same everywhere, which is all that convergence needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import orjson

from schemas.errors import InvalidEventError

MAX_EPOCH: Final = 2**31 - 1
MAX_SEQUENCE: Final = 2**64 - 1
POSITION_BITS: Final = 320
"""Room for two log sequence numbers of 128 bits and a serial number."""
POSITION_PATTERN: Final = r"[0-9A-Fa-f]{1,80}"
"""A position in an event: hexadecimal digits, since JSON's integers end at 64 bits for many readers."""


@dataclass(frozen=True, slots=True)
class SourceVersion:
    """Position of a change in its source's history.

    `sequence` is monotonic within an epoch (an LSN, a packed binlog position, microseconds); `epoch` is raised by the
    operator when a source starts its count again, and then every version of the new epoch is newer. `position` is given
    where 64 bits do not hold the place in the log (SQL Server's commit and change LSN, say): of two versions that have one it
    decides, and `sequence` is what was counted before there were positions, by which a version with one and a version
    without are compared. On a tie the one without is the greater: it may be any of the changes that shared its count.

    This order is total among versions that have positions and among those that have none. Over a mixture it is only true
    of pairs, so a register that meets both keeps one of each kind (`schemas.product.merge`).
    """

    epoch: int
    sequence: int
    position: int | None = None

    @classmethod
    def of(cls, sequence: int, epoch: int = 0, position: int | None = None) -> SourceVersion:
        """Validate the ranges: 0 <= epoch < 2**31, 0 <= sequence < 2**64, 0 <= position < 2**320.

        Raises:
            InvalidEventError: a number is out of range.
        """
        if (
            not 0 <= epoch <= MAX_EPOCH
            or not 0 <= sequence <= MAX_SEQUENCE
            or not 0 <= (position or 0) < 1 << POSITION_BITS
        ):
            msg = f"version (epoch {epoch}, sequence {sequence}) is out of range"
            raise InvalidEventError(msg)
        return cls(epoch, sequence, position)

    def __lt__(self, other: SourceVersion) -> bool:
        if self.position is None and other.position is None:
            return (self.epoch, self.sequence) < (other.epoch, other.sequence)
        if self.position is not None and other.position is not None:
            return (self.epoch, self.position, self.sequence) < (other.epoch, other.position, other.sequence)
        mine, theirs = (self.epoch, self.sequence), (other.epoch, other.sequence)
        return mine < theirs or (mine == theirs and other.position is None)

    def __gt__(self, other: SourceVersion) -> bool:
        return other < self

    def __le__(self, other: SourceVersion) -> bool:
        return self == other or self < other

    def __ge__(self, other: SourceVersion) -> bool:
        return self == other or other < self

    def to_json(self) -> dict[str, Any]:
        """Render as an event's `version`: epoch and sequence, and the position as hexadecimal digits where there is one."""
        raw: dict[str, Any] = {"epoch": self.epoch, "sequence": self.sequence}
        if self.position is not None:
            raw["position"] = f"{self.position:x}"
        return raw

    def __str__(self) -> str:
        text = f"{self.epoch}:{self.sequence}"
        return text if self.position is None else f"{text}/{self.position:x}"


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """An event's place in the total order of one facet's events: version first, canonical digest between twins."""

    version: SourceVersion
    digest: str

    def to_json(self) -> list[Any]:
        """Render as `[epoch, sequence, digest]`, and the position as hexadecimal digits where there is one."""
        version = self.version
        raw = [version.epoch, version.sequence, self.digest]
        return raw if version.position is None else [*raw, f"{version.position:x}"]

    @classmethod
    def from_json(cls, raw: list[Any]) -> Stamp:
        """Read what `to_json` wrote."""
        epoch, sequence, digest, *position = raw
        return cls(SourceVersion(epoch, sequence, int(position[0], 16) if position else None), digest)


def canonical_digest(value: object) -> str:
    """Digest of a JSON value's canonical bytes (sorted keys, no blanks, UTF-8): 16 hex digits of BLAKE2b."""
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
