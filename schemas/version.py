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


@dataclass(frozen=True, slots=True, order=True)
class SourceVersion:
    """Position of a change in its source's history, compared as a pair.

    `sequence` is monotonic within an epoch (an LSN, a packed binlog position, microseconds); `epoch` is raised by the
    operator when a source starts its count again, and then every version of the new epoch is newer.
    """

    epoch: int
    sequence: int

    @classmethod
    def of(cls, sequence: int, epoch: int = 0) -> SourceVersion:
        """Validate the ranges: 0 <= epoch < 2**31, 0 <= sequence < 2**64.

        Raises:
            InvalidEventError: a number is out of range.
        """
        if not 0 <= epoch <= MAX_EPOCH or not 0 <= sequence <= MAX_SEQUENCE:
            msg = f"version (epoch {epoch}, sequence {sequence}) is out of range"
            raise InvalidEventError(msg)
        return cls(epoch, sequence)

    def __str__(self) -> str:
        return f"{self.epoch}:{self.sequence}"


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """An event's place in the total order of one facet's events: version first, canonical digest between twins."""

    version: SourceVersion
    digest: str

    def to_json(self) -> list[Any]:
        """Render as `[epoch, sequence, digest]`."""
        return [self.version.epoch, self.version.sequence, self.digest]

    @classmethod
    def from_json(cls, raw: list[Any]) -> Stamp:
        """Read what `to_json` wrote."""
        epoch, sequence, digest = raw
        return cls(SourceVersion(epoch, sequence), digest)


def canonical_digest(value: object) -> str:
    """Digest of a JSON value's canonical bytes (sorted keys, no blanks, UTF-8): 16 hex digits of BLAKE2b."""
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
