"""Metrics of admission, the same in every process that answers HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from runtime.admission.bounds import Reason
from runtime.admission.callers import OTHERS
from schemas.api.routes import RouteClass

_TENANTS_NAMED: Final = 200
"""Tenants with a label of their own, the first to be refused: a monitor keeps a series for each, for months."""


class ShedMetrics:
    """What was refused, by class, reason and tenant, and how full each class is.

    The tenant is one that exists here or has a key; requests that name another count as `other`, and so do those that
    were refused before their tenant was known.
    """

    def __init__(self, registry: CollectorRegistry, *, may_name: Callable[[str], bool] = lambda _: True) -> None:
        """`may_name` says of a tenant whether it may be a label; by default all that come here may."""
        self._may_name = may_name
        self._shed = Counter(
            "ferroflux_shed",
            "Requests refused with 429, by class of route, reason and tenant.",
            ["class", "reason", "tenant"],
            registry=registry,
        )
        self._inside = Gauge(
            "ferroflux_in_flight",
            "What is being answered, by class of route: requests, of intake bytes.",
            ["class"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._limit = Gauge(
            "ferroflux_admission_limit",
            "What may be answered at a time, by class of route, as the deadline and the measured pace have it.",
            ["class"],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._named: set[str] = {OTHERS}
        self._gauges: dict[RouteClass, tuple[Gauge, Gauge]] = {
            kind: (self._inside.labels(kind), self._limit.labels(kind))
            for kind in RouteClass
            if kind is not RouteClass.EXEMPT
        }

    def shed(self, kind: RouteClass, reason: Reason, tenant: str) -> None:
        """Count one request that was refused."""
        if tenant not in self._named:
            if len(self._named) >= _TENANTS_NAMED or not self._may_name(tenant):
                tenant = OTHERS
            self._named.add(tenant)
        self._shed.labels(kind, reason, tenant).inc()

    def inside(self, kind: RouteClass, inside: int, limit: float) -> None:
        """How much a class holds, and may."""
        held, may = self._gauges[kind]
        held.set(inside)
        may.set(limit)
