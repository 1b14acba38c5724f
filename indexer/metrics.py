"""The indexer's Prometheus metrics, in a registry that is given, so that several parts of one process can share it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from indexer.batch.batch import BatchReport, Fault, Freshness
from indexer.records import TopicPartition
from schemas.identity import SkuKey

_FRESHNESS_BUCKETS: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 1.0, 2.5, 5.0, 15.0, 60.0, 600.0)
_STAGE_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


_FORMER: Final = {
    "stale_changes_total": 'ferroflux_indexer_events_total{outcome="stale"}',
    "duplicates_total": 'ferroflux_indexer_events_total{outcome="duplicate"}',
    "conflicts_total": "ferroflux_indexer_conflicts_total",
}
"""Names without our prefix, kept for one release, and what they are called now."""


class IndexerMetrics:
    """What happened, by the batch. Counters never go back; gauges hold the newest figure."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._records = Counter(
            "ferroflux_indexer_records_total", "Records taken from the change topics.", registry=registry
        )
        self._batches = Counter(
            "ferroflux_indexer_batches_total", "Batches by how they ended.", ["result"], registry=registry
        )
        self._retries = Counter(
            "ferroflux_indexer_batch_retries_total", "Batches that are read again, by the error's code.", ["code"], registry=registry
        )  # fmt: skip
        self._events = Counter(
            "ferroflux_indexer_events_total", "Change events by what they did: applied, duplicate, stale.", ["outcome"], registry=registry
        )  # fmt: skip
        self._conflicts = Counter(
            "ferroflux_indexer_conflicts_total", "Different rows of one facet under one version.", registry=registry
        )
        self._former = [
            Counter(former, f"Former name of {now}; goes with the next release.", registry=registry)
            for former, now in _FORMER.items()
        ]
        self._ignored = Counter(
            "ferroflux_indexer_ignored_total", "Records that are no change of ours.", registry=registry
        )
        self._diverted = Counter(
            "ferroflux_indexer_diverted_total", "Snapshot reads moved to the bulk topic.", registry=registry
        )
        self._dead = Counter(
            "ferroflux_indexer_dead_letters_total", "Dead letters by reason.", ["reason"], registry=registry
        )
        self._products = Counter(
            "ferroflux_indexer_products_total", "Products by what was done: embed, patch, delete, await, republish.", ["action"], registry=registry
        )  # fmt: skip
        self._superseded = Counter(
            "ferroflux_indexer_superseded_total", "Documents that another writer overtook while they were published.", registry=registry
        )  # fmt: skip
        self._contended = Counter(
            "ferroflux_indexer_contended_total", "Guarded writes that were refused.", registry=registry
        )
        self._beyond = Counter(
            "ferroflux_indexer_beyond_total", "Change events of more places or price lists than a product may hold.", registry=registry
        )  # fmt: skip
        self._incomplete = Counter(
            "ferroflux_indexer_incomplete_total", "Documents published that lack something of their product, and say so.", registry=registry
        )  # fmt: skip
        self._apart = Counter(
            "ferroflux_indexer_set_apart_total", "Products set apart, by stage: read, plan, encode, write, publish.", ["stage"], registry=registry
        )  # fmt: skip
        self._stage = Histogram(
            "ferroflux_indexer_stage_seconds", "Seconds of a batch by stage.", ["stage"], buckets=_STAGE_BUCKETS, registry=registry
        )  # fmt: skip
        # The former name is a gauge of the search API's, too: one name may have one type only.
        self._freshness = [
            Histogram(name, help_, ["stage"], buckets=_FRESHNESS_BUCKETS, registry=registry)
            for name, help_ in (
                (
                    "ferroflux_indexer_freshness_seconds",
                    "Seconds that a change needed for a stage: logged (commit to log), indexed (log to index), total.",
                ),
                (
                    "ferroflux_freshness_seconds",
                    "Former name of ferroflux_indexer_freshness_seconds; goes with the next release.",
                ),
            )
        ]
        self._verified = Counter(
            "ferroflux_indexer_verified_total",
            "Documents compared with the store after they were in the log: compared, repaired, unknown to the store, set apart.",
            ["outcome"],
            registry=registry,
        )
        self._contents = Counter(
            "ferroflux_indexer_content_vectors_total",
            "Texts by where their vectors come from: hit (found by content), miss (computed); and damaged vectors, failed calls.",
            ["outcome"],
            registry=registry,
        )
        self._content_bytes = Gauge(
            "ferroflux_indexer_content_bytes", "Bytes of the vectors that are found by content.", registry=registry
        )
        self._lag = Gauge(
            "ferroflux_indexer_lag", "Records of a partition that are not processed yet.", ["topic", "partition"], registry=registry
        )  # fmt: skip

        self._coverage = Gauge(
            "ferroflux_indexer_coverage_ratio", "Part of the living products that has a vector, by space; counted once a minute.", ["space"], registry=registry
        )  # fmt: skip

    def batch(self, report: BatchReport) -> None:
        """Count a batch that went through."""
        self._batches.labels("indexed").inc()
        self._records.inc(report.records)
        self._events.labels("applied").inc(report.applied)
        self._events.labels("duplicate").inc(report.duplicates)
        self._events.labels("stale").inc(report.stale)
        self._conflicts.inc(report.conflicts)
        for former, count in zip(self._former, (report.stale, report.duplicates, report.conflicts), strict=True):
            former.inc(count)
        self._ignored.inc(report.ignored)
        for reason, count in report.dead_letters.items():
            self._dead.labels(reason).inc(count)
        self._products.labels("embed").inc(report.embedded)
        self._products.labels("patch").inc(report.patched)
        self._products.labels("delete").inc(report.deleted)
        self._products.labels("await").inc(report.awaiting)
        self._products.labels("republish").inc(report.republished)
        self._superseded.inc(report.superseded)
        self._contended.inc(report.contended)
        self._beyond.inc(report.beyond)
        self._incomplete.inc(report.incomplete)
        for fault in report.apart.values():
            self._apart.labels(fault.stage).inc()
        self._stage.labels("read").observe(report.read_seconds)
        if report.embedded:
            self._stage.labels("encode").observe(report.encode_seconds)
        self._stage.labels("write").observe(report.write_seconds)
        self._stage.labels("publish").observe(report.publish_seconds)
        self._stage.labels("batch").observe(report.total_seconds)
        for sample in report.freshness:
            self._observe(sample)

    def batch_retried(self, code: str) -> None:
        """Count a batch that failed and is read again."""
        self._batches.labels("retried").inc()
        self._retries.labels(code).inc()

    def diverted(self, records: int) -> None:
        """Count snapshot reads that were moved to the bulk topic."""
        self._diverted.inc(records)

    def lease_lost(self) -> None:
        """Count a batch whose partitions went to another indexer."""
        self._batches.labels("lease_lost").inc()

    def verified(self, *, compared: int, repaired: int, unknown: int, apart: Mapping[SkuKey, Fault]) -> None:
        """Count documents that the verifier has compared with the store."""
        self._verified.labels("set_apart").inc(len(apart))
        for fault in apart.values():
            self._apart.labels(fault.stage).inc()
        self._verified.labels("compared").inc(compared)
        self._verified.labels("repaired").inc(repaired)
        self._verified.labels("unknown").inc(unknown)

    def contents(self, outcome: str, texts: int, held_bytes: int) -> None:
        """Count what came of looking vectors up by content."""
        self._contents.labels(outcome).inc(texts)
        self._content_bytes.set(held_bytes)

    def lag(self, lag: Mapping[TopicPartition, int]) -> None:
        """Set the lag per partition; partitions that are not ours any more disappear."""
        self._lag.clear()
        for (topic, partition), records in lag.items():
            self._lag.labels(topic, str(partition)).set(records)

    def coverage(self, coverage: Mapping[str, float]) -> None:
        """Set the coverage of each vector space."""
        for space, share in coverage.items():
            self._coverage.labels(space).set(share)

    def _observe(self, sample: Freshness) -> None:
        """Observe the stages whose both ends are known; clocks of two machines may differ, a negative age counts as 0."""
        changed, logged, indexed = sample
        for stage, begin, end in (
            ("indexed", logged, indexed),
            ("logged", changed, logged),
            ("total", changed, indexed),
        ):
            if begin and end:
                for histogram in self._freshness:
                    histogram.labels(stage).observe(max(0, end - begin) / 1e6)
