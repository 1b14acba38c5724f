"""One change's way through the system, read from the product that shows it, and many of them as percentiles. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from query_api.freshness import percentiles
from schemas.api.status import Percentiles

STAGES: Final = ("log", "index", "commit", "visible", "total")
"""Commit to Kafka, Kafka to the vector index, index to the replica's commit, commit to the first answer, and all of it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Passage:
    """When one change was where, microseconds since 1970; `seen_us` is the end of the first answer that showed it."""

    changed_us: int
    logged_us: int
    indexed_us: int
    committed_us: int
    seen_us: int

    @classmethod
    def of(cls, item: Mapping[str, Any], changed_us: int, seen_us: int) -> Passage:
        """From the API's answer; a time that it does not know is 0."""
        return cls(
            changed_us=changed_us,
            logged_us=micros(item.get("logged_at")),
            indexed_us=micros(item.get("indexed_at")),
            committed_us=micros(item.get("visible_at")),
            seen_us=seen_us,
        )

    def stages_ms(self) -> dict[str, float]:
        """Milliseconds of each stage whose both ends are known; clocks that differ give 0 rather than less."""
        ends = {
            "log": (self.changed_us, self.logged_us),
            "index": (self.logged_us, self.indexed_us),
            "commit": (self.indexed_us, self.committed_us),
            "visible": (self.committed_us, self.seen_us),
            "total": (self.changed_us, self.seen_us),
        }
        return {stage: max(0, end - begin) / 1000 for stage, (begin, end) in ends.items() if begin and end}


def summarise(passages: Sequence[Passage]) -> dict[str, Percentiles]:
    """Nearest-rank percentiles of each stage, milliseconds; stages without a measurement are left out."""
    rows = [passage.stages_ms() for passage in passages]
    found = {stage: percentiles([row[stage] for row in rows if stage in row]) for stage in STAGES}
    return {stage: measured for stage, measured in found.items() if measured is not None}


def micros(instant: str | None) -> int:
    """An instant of the API as microseconds since 1970; 0 where there is none."""
    if not instant:
        return 0
    return (datetime.fromisoformat(instant) - _EPOCH) // timedelta(microseconds=1)
