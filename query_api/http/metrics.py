"""Prometheus metrics of a query worker."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from retrieval.search.query import SearchResult
from retrieval.search.ranking.reranking import Reranked
from retrieval.serving.freshness import VisibleDocument
from runtime.admission.bounds import Reason
from runtime.admission.metrics import ShedMetrics
from runtime.observability.metrics import CacheMetrics, exposition
from schemas.api.routes import RouteClass

_FRESHNESS_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.4, 0.6, 1.0, 2.5, 5.0, 15.0, 60.0, 600.0)
_SECONDS: Final = (0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1.0, 2.5)


class SearchShedMetrics(ShedMetrics):
    """With the names of the release before, for dashboards that know no others."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self._searches_shed = Counter(
            "ferroflux_search_shed", "Searches refused: now ferroflux_shed_total.", registry=registry
        )
        self._searches_inside = Gauge(
            "ferroflux_search_in_flight",
            "Searches being answered: now ferroflux_in_flight.",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def shed(self, kind: RouteClass, reason: Reason, tenant: str) -> None:
        """Count one request that was refused."""
        super().shed(kind, reason, tenant)
        if kind is RouteClass.SEARCH:
            self._searches_shed.inc()

    def inside(self, kind: RouteClass, inside: int, limit: float) -> None:
        """How much a class holds, and may."""
        super().inside(kind, inside, limit)
        if kind is RouteClass.SEARCH:
            self._searches_inside.set(inside)


class ApiMetrics:
    """All metrics of the API. No label holds a SKU or a query, and none but that of refused requests a tenant."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._caches = CacheMetrics(registry)
        self._requests = Counter(
            "ferroflux_http_requests", "HTTP requests.", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "ferroflux_http_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        self._stage_seconds = Histogram(
            "ferroflux_search_stage_seconds",
            "Time of a search by stage.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._empty = Counter("ferroflux_search_empty", "Searches without a hit.", registry=registry)
        self._degraded = Counter(
            "ferroflux_search_degraded",
            "Retrievers missing from an answer.",
            ["retriever", "reason"],
            registry=registry,
        )
        self._reranked = Counter(
            "ferroflux_rerank_candidates",
            "Candidates for reranking: scored, or left as fused since the time was up.",
            ["outcome"],
            registry=registry,
        )
        self._rerank_partial = Counter(
            "ferroflux_rerank_partial",
            "Searches that were reranked in part or not at all: the time was up, or the reranker failed.",
            ["reason"],
            registry=registry,
        )
        self.admission = SearchShedMetrics(registry)
        self._ready = Gauge(
            "ferroflux_worker_ready", "Workers that are ready.", registry=registry, multiprocess_mode="livesum"
        )
        self._replica_lag = Gauge(
            "ferroflux_replica_lag_records",
            "Records of the documents topic not yet in the text replica.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._stage_freshness = Histogram(
            "ferroflux_freshness_stage_seconds",
            "Seconds of each stage from a change's commit until it was visible here: log, index, commit, visible, total.",
            ["stage"],
            buckets=_FRESHNESS_SECONDS,
            registry=registry,
        )
        self._freshness = Gauge(
            "ferroflux_freshness_seconds",
            "Time from a stage until visible in search, over the freshness window.",
            ["stage", "quantile"],
            registry=registry,
            multiprocess_mode="livemax",
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one HTTP answer; status 0 is a connection that ended without one."""
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def searched(self, result: SearchResult) -> None:
        """Count one search with its stages."""
        for stage, milliseconds in result.timings_ms.items():
            self._stage_seconds.labels(stage).observe(milliseconds / 1000)
        for retriever, reason in result.degraded.items():
            self._degraded.labels(str(retriever), str(reason)).inc()
        if not result.total:
            self._empty.inc()
        if result.trace is not None and result.trace.reranked is not None:
            self._count_reranked(result.trace.reranked)

    def _count_reranked(self, reranked: Reranked) -> None:
        self._reranked.labels("scored").inc(reranked.scored)
        self._reranked.labels("left").inc(reranked.of - reranked.scored)
        if reranked.failed or reranked.partial:
            self._rerank_partial.labels("failed" if reranked.failed else "budget").inc()

    def visible(self, document: VisibleDocument) -> None:
        """Count one document that this worker can show from now on."""
        for stage, seconds in document.stage_seconds().items():
            self._stage_freshness.labels(stage).observe(seconds)

    def worker(self, *, ready: bool, lag: int | None, freshness_s: dict[tuple[str, str], float]) -> None:
        """The worker's own state; `freshness_s` is seconds by (stage, quantile)."""
        self._ready.set(1 if ready else 0)
        if lag is not None:
            self._replica_lag.set(lag)
        for (stage, quantile), seconds in freshness_s.items():
            self._freshness.labels(stage, quantile).set(seconds)

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes: this worker's, or all workers' added up."""
        self._caches.refresh()
        return exposition(self._registry)
