"""What every process tells of itself, and how it is scraped: one worker, or several behind one port.

Several workers share a port, and a scrape reaches any of them. Then `PROMETHEUS_MULTIPROC_DIR` names a folder in which
each worker keeps its values in files, and whichever is scraped adds them all up (who starts the workers sets it).
No label holds a generation, a tenant or anything else without a bound.
"""

from __future__ import annotations

import os
import threading
from collections import Counter as Tally
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from runtime.bounded_cache import caches

MULTIPROCESS_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


def exposition(registry: CollectorRegistry) -> bytes:
    """The text that Prometheus scrapes: this worker's, or all workers' added up."""
    folder = os.environ.get(MULTIPROCESS_FOLDER)
    if not folder:
        return generate_latest(registry)
    _forget_dead_workers(Path(folder))
    everybody = CollectorRegistry()
    MultiProcessCollector(everybody, path=folder)  # type: ignore[no-untyped-call]  # the library leaves it untyped
    return generate_latest(everybody)


def _forget_dead_workers(folder: Path) -> None:
    """Drop the live gauges of workers that are gone; their counters stay, so that no count goes back."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, path=str(folder))  # type: ignore[no-untyped-call]  # as above


class TaskMetrics:
    """One per registry, shared by every supervisor of the process; any thread may call it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._restarts = Counter(
            "ferroflux_task_restarts",
            "Restarts of a background task by cause: retryable (a dependency is away), defect (a fault of ours), fatal (of a part "
            "that the process can do without).",
            ["task", "cause"],
            registry=registry,
        )
        self._up = Gauge(
            "ferroflux_task_up",
            "Whether a background task works: 0 while it rests after a failure, and once it ended by one.",
            ["task"],
            registry=registry,
            multiprocess_mode="livemin",
        )
        self._down: dict[str, set[object]] = {}
        self._lock = threading.Lock()

    def up(self, task: str, instance: object) -> None:
        """This instance of a task works, or has ended in order."""
        with self._lock:
            down = self._down.setdefault(task, set())
            down.discard(instance)
            self._up.labels(task).set(not down)

    def down(self, task: str, instance: object) -> None:
        """This instance of a task failed: the task is down until all its instances work again."""
        with self._lock:
            self._down.setdefault(task, set()).add(instance)
            self._up.labels(task).set(0)

    def restarted(self, task: str, cause: str) -> None:
        """Count a restart."""
        self._restarts.labels(task, cause).inc()


_COUNTED: Final = ("hits", "misses", "evictions")


class CacheMetrics:
    """One per registry. `refresh` brings it up to date; before it a scrape shows the figures of the scrape before."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._bytes = Gauge(
            "ferroflux_cache_bytes",
            "Bytes that a cache's entries take.",
            ["cache"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._entries = Gauge(
            "ferroflux_cache_entries", "Entries of a cache.", ["cache"], registry=registry, multiprocess_mode="livesum"
        )
        self._lookups = Counter(
            "ferroflux_cache_lookups",
            "What became of a cache's entries: hits, misses, evictions.",
            ["cache", "outcome"],
            registry=registry,
        )
        self._told: Tally[tuple[str, str]] = Tally()
        self._lock = threading.Lock()

    def refresh(self) -> None:
        """Read all caches of this process."""
        taken: Tally[str] = Tally()
        entries: Tally[str] = Tally()
        counted: Tally[tuple[str, str]] = Tally()
        for cache in caches():
            taken[cache.name] += cache.bytes
            entries[cache.name] += len(cache)
            for outcome in _COUNTED:
                counted[cache.name, outcome] += getattr(cache, outcome)
        with self._lock:
            for name, size in taken.items():
                self._bytes.labels(name).set(size)
                self._entries.labels(name).set(entries[name])
            for (name, outcome), count in counted.items():
                # A cache that is gone took its count with it: what is counted of the others since is told when it exceeds that.
                self._lookups.labels(name, outcome).inc(max(0, count - self._told[name, outcome]))
                self._told[name, outcome] = max(count, self._told[name, outcome])
