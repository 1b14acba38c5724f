"""What a process tells of its caches, by name; those of one name (of two generations, say) are added up."""

from __future__ import annotations

import threading
from collections import Counter as Tally
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from runtime.bounded_cache import caches

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
