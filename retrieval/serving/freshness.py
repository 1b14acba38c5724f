"""Freshness as this worker measures it: how long a document took from each stage until the worker could show it.

The tailer says when each of the newest documents was committed; the worker knows when it loaded which commit. A document
is visible from the end of the first load that began at or after its commit. Loads that began before a commit may or may
not have seen it, so the figure is an upper bound, too high by at most one refresh interval.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from retrieval.serving.replica_status import FreshnessSample
from schemas.api.status import FreshnessStatus, Percentiles, StageTimes

_MAX_KEPT: Final = 20_000
_MAX_LOADS: Final = 4_096


@dataclass(frozen=True, slots=True)
class Load:
    """One look for a newer commit: when it began and ended, microseconds since 1970."""

    began_us: int
    ended_us: int


@dataclass(frozen=True, slots=True)
class VisibleDocument:
    """The times of a document, and when this worker could show it; microseconds since 1970, 0 where unknown."""

    times: FreshnessSample
    visible_us: int

    def stage_seconds(self) -> dict[str, float]:
        """Seconds of each stage whose both ends are known: log, index, commit, visible; and `total`, commit to visible.

        Clocks of several machines may differ: what would be negative counts as 0.
        """
        changed, logged, indexed, committed = self.times
        ends = {
            "log": (changed, logged),
            "index": (logged, indexed),
            "commit": (indexed, committed),
            "visible": (committed, self.visible_us),
            "total": (changed, self.visible_us),
        }
        return {stage: max(0, end - begin) / 1e6 for stage, (begin, end) in ends.items() if begin and end}


class FreshnessWindow:
    """The documents that became visible within the last `window_s` seconds. Not thread-safe: one event loop's."""

    def __init__(self, window_s: float) -> None:
        self.on_visible: Callable[[VisibleDocument], None] = lambda _: None
        """Called once for each document, as soon as it is known to be visible."""
        self._window_s = window_s
        self._loads: deque[Load] = deque(maxlen=_MAX_LOADS)
        self._visible: deque[VisibleDocument] = deque(maxlen=_MAX_KEPT)
        self._pending: list[FreshnessSample] = []
        self._newest_commit_us = 0

    def begin_at(self, now_us: int) -> None:
        """Leave out documents committed before: this worker was not there to show them."""
        self._newest_commit_us = now_us

    def loaded(self, load: Load) -> None:
        """Note a finished look for a newer commit. Call it for every look: one that found nothing proves as much."""
        self._loads.append(load)
        self._settle()

    def reported(self, samples: Iterable[FreshnessSample]) -> None:
        """Take the tailer's newest samples, oldest commit first; those that were taken before are left out."""
        fresh = [sample for sample in samples if sample.committed_us > self._newest_commit_us]
        if fresh:
            self._newest_commit_us = max(sample.committed_us for sample in fresh)
            self._pending.extend(fresh)
            self._settle()

    def summary(self, now_us: int) -> FreshnessStatus:
        """Percentiles by stage over the window that ends now."""
        begin = now_us - int(self._window_s * 1_000_000)
        while self._visible and self._visible[0].visible_us < begin:
            self._visible.popleft()
        visible = list(self._visible)
        return FreshnessStatus(
            window_s=self._window_s,
            changed_to_visible_ms=_since(visible, lambda times: times.changed_us),
            logged_to_visible_ms=_since(visible, lambda times: times.logged_us),
            indexed_to_visible_ms=_since(visible, lambda times: times.indexed_us),
            committed_to_visible_ms=_since(visible, lambda times: times.committed_us),
            stages=_stages(visible),
        )

    def _settle(self) -> None:
        if not self._loads or not self._pending:
            return
        begins = [load.began_us for load in self._loads]
        waiting = []
        for sample in self._pending:
            place = bisect.bisect_left(begins, sample.committed_us)
            if place == len(begins):
                waiting.append(sample)
            else:
                seen = VisibleDocument(sample, self._loads[place].ended_us)
                self._visible.append(seen)
                self.on_visible(seen)
        self._pending = waiting


def percentiles(milliseconds: Sequence[float]) -> Percentiles | None:
    """Nearest-rank percentiles; None of nothing."""
    if not milliseconds:
        return None
    ordered = sorted(milliseconds)

    def rank(share: float) -> float:
        return round(ordered[math.ceil(len(ordered) * share) - 1], 3)

    return Percentiles(p50=rank(0.50), p95=rank(0.95), p99=rank(0.99), samples=len(ordered))


def _since(visible: Sequence[VisibleDocument], stage: Callable[[FreshnessSample], int]) -> Percentiles | None:
    return percentiles(
        [max(0, seen.visible_us - stage(seen.times)) / 1000 for seen in visible if stage(seen.times) > 0]
    )


def _stages(visible: Sequence[VisibleDocument]) -> StageTimes:
    found = [seen.stage_seconds() for seen in visible]

    def of(stage: str) -> Percentiles | None:
        return percentiles([seconds[stage] * 1000 for seconds in found if stage in seconds])

    return StageTimes(log_ms=of("log"), index_ms=of("index"), commit_ms=of("commit"), visible_ms=of("visible"))
