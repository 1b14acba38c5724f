"""Prometheus metrics of the replica, on a registry of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from retrieval.serving.replica_status import FreshnessSample
from retrieval.text.apart.values import Apart, Flaw

_COMMIT_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_FRESHNESS_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 1, 2, 5, 15, 60, 300, 3600)
_COMMIT_DOCUMENTS: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2000, 5000)


class ReplicaMetrics:
    """One process's metrics; `registry` is what /metrics renders."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._records = Counter(
            "ferroflux_replica_records",
            "Records of the documents topic by what became of them",
            ["outcome"],
            registry=self.registry,
        )
        self._commit_seconds = Histogram(
            "ferroflux_replica_commit_seconds",
            "Decoding, writing and committing one batch",
            buckets=_COMMIT_SECONDS,
            registry=self.registry,
        )
        self._commit_documents = Histogram(
            "ferroflux_replica_commit_documents",
            "Documents in one commit",
            buckets=_COMMIT_DOCUMENTS,
            registry=self.registry,
        )
        self._freshness = Histogram(
            "ferroflux_replica_freshness_seconds",
            "From a stage of a document's way to its commit here; documents read while catching up are left out",
            ["since"],
            buckets=_FRESHNESS_SECONDS,
            registry=self.registry,
        )
        self._lag = Gauge(
            "ferroflux_replica_lag_records", "Records not yet in the replica", ["partition"], registry=self.registry
        )
        self._caught_up = Gauge("ferroflux_replica_caught_up", "Whether the replica is whole", registry=self.registry)
        self._following = Gauge(
            "ferroflux_replica_following", "Whether the log is there and being followed", registry=self.registry
        )
        self._reopened = Counter(
            "ferroflux_replica_log_failures", "Times that the log went away", registry=self.registry
        )
        self._rewound = Counter(
            "ferroflux_replica_rewound_partitions",
            "Partitions read again from their beginning since the log no longer held the offset",
            registry=self.registry,
        )
        self._snapshot_at = Gauge(
            "ferroflux_replica_snapshot_timestamp_seconds",
            "When the newest snapshot of this log was taken, by whichever replica",
            registry=self.registry,
        )
        self._snapshot_failures = Counter(
            "ferroflux_replica_snapshot_failures", "Snapshots that could not be taken", registry=self.registry
        )

        self._set_apart = Counter(
            "ferroflux_set_apart",
            "Things that were set apart, by stage and reason",
            ["stage", "reason"],
            registry=self.registry,
        )
        self._set_apart_open = Gauge(
            "ferroflux_set_apart_open",
            "Things that are set apart and not yet mended, by the reason of their dead letter",
            ["reason"],
            registry=self.registry,
        )

    def set_apart(self, apart: Iterable[Apart]) -> None:
        """What a batch set apart."""
        for one in apart:
            stage = "read documents" if one.flaw is Flaw.MALFORMED_DOCUMENT else "analyse documents"
            self._set_apart.labels(stage, one.code).inc()

    def open(self, counts: Mapping[str, int]) -> None:
        """What is set apart now."""
        for flaw in Flaw:
            self._set_apart_open.labels(flaw.value).set(counts.get(flaw.value, 0))

    def committed(self, *, seconds: float, outcomes: Mapping[str, int], samples: Iterable[FreshnessSample]) -> None:
        """One batch is in the index: how long it took, how many records had which outcome, and how fresh they were."""
        self._commit_seconds.observe(seconds)
        self._commit_documents.observe(outcomes.get("written", 0))
        for outcome, count in outcomes.items():
            self._records.labels(outcome).inc(count)
        for sample in samples:
            for stage, since_us in (
                ("changed", sample.changed_us),
                ("logged", sample.logged_us),
                ("indexed", sample.indexed_us),
            ):
                if since_us:
                    self._freshness.labels(stage).observe(max(0, sample.committed_us - since_us) / 1e6)

    def progressed(self, lag: Mapping[int, int], *, caught_up: bool) -> None:
        """How far behind each partition is."""
        for partition, records in lag.items():
            self._lag.labels(str(partition)).set(records)
        self._caught_up.set(caught_up)

    def following(self, rewound: int) -> None:
        """The log was opened; so many partitions are read again."""
        self._following.set(1)
        self._rewound.inc(rewound)

    def failed(self) -> None:
        """The log went away."""
        self._following.set(0)
        self._reopened.inc()

    def snapshot_taken(self, created_us: int) -> None:
        """The newest snapshot of this log was taken then, microseconds since 1970."""
        self._snapshot_at.set(created_us / 1e6)

    def snapshot_failed(self) -> None:
        """A snapshot could not be taken."""
        self._snapshot_failures.inc()
