"""Prometheus metrics of the agent. No label holds a thread, a SKU or a word of a message; that of refusals holds tenants with keys."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from agent.orders.outbox import Backlog
from agent.tools.dispatch import TOOLS
from runtime.admission.metrics import ShedMetrics
from runtime.observability.metrics import CacheMetrics, exposition
from schemas.api.chat import TurnReply
from schemas.api.routes import RouteClass

_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def _renamed(name: str) -> str:
    """The help of a metric that is exposed under its former name for one release."""
    return f"Deprecated, gone in the next release: read {name}."


class TurnAdmissionMetrics(ShedMetrics):
    """With the gauge of turns under the name of the release before."""

    def __init__(self, registry: CollectorRegistry, tenants: Collection[str]) -> None:
        super().__init__(registry, may_name=frozenset(tenants).__contains__)
        self._turns = Gauge(
            "ferroflux_agent_turns_in_flight",
            _renamed('ferroflux_in_flight{class="chat"}'),
            registry=registry,
            multiprocess_mode="livesum",
        )

    def inside(self, kind: RouteClass, inside: int, limit: float) -> None:
        """How much a class holds, and may."""
        super().inside(kind, inside, limit)
        if kind is RouteClass.CHAT:
            self._turns.set(inside)


class AgentMetrics:
    """All metrics of one agent process. `tenants` are those that have keys: the only ones that a label may name."""

    def __init__(self, registry: CollectorRegistry, tenants: Collection[str] = ()) -> None:
        self._registry = registry
        self._caches = CacheMetrics(registry)
        labels = ["method", "route", "status"]
        self._requests = (
            Counter("ferroflux_http_requests", "HTTP requests.", labels, registry=registry),
            Counter("ferroflux_agent_http_requests", _renamed("ferroflux_http_requests"), labels, registry=registry),
        )
        self._request_seconds = tuple(
            Histogram(name, words, ["route"], buckets=_SECONDS, registry=registry)
            for name, words in (
                ("ferroflux_http_request_seconds", "Time to answer."),
                ("ferroflux_agent_http_request_seconds", _renamed("ferroflux_http_request_seconds")),
            )
        )
        self._turns = Counter("ferroflux_agent_turns", "Turns answered.", ["planner", "bypassed"], registry=registry)
        self._turn_seconds = Histogram(
            "ferroflux_agent_turn_seconds", "Time of a turn.", ["planner"], buckets=_SECONDS, registry=registry
        )
        self._tools = Counter("ferroflux_agent_tool_calls", "Tool calls.", ["tool", "outcome"], registry=registry)
        self._fallbacks = Counter(
            "ferroflux_agent_planner_fallbacks", "Turns that another planner answered.", ["reason"], registry=registry
        )
        self._tokens = Counter("ferroflux_agent_model_tokens", "Tokens of models.", ["direction"], registry=registry)
        self._cost = Counter(
            "ferroflux_agent_model_cost", "Cost of models, in the prices' currency.", registry=registry
        )
        self._replays = Counter("ferroflux_agent_replays", "Turns answered from an earlier answer.", registry=registry)
        self._failures = Counter("ferroflux_agent_turn_failures", "Turns that failed.", ["code"], registry=registry)
        self._submissions = Counter("ferroflux_agent_submissions", "Orders submitted.", registry=registry)
        self._backlog = Gauge(
            "ferroflux_agent_outbox_pending",
            "Submitted orders that the log has still to get.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.admission = TurnAdmissionMetrics(registry, tenants)
        self._orders_apart = Gauge(
            "ferroflux_agent_orders_set_apart",
            "Submitted orders that the log will never take as they are.",
            registry=registry,
            multiprocess_mode="livemax",
        )
        self._set_apart = Counter(
            "ferroflux_set_apart",
            "Things that were set apart so that the rest goes on.",
            ["stage", "reason"],
            registry=registry,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one HTTP answer; status 0 is a connection that ended without one."""
        for requests in self._requests:
            requests.labels(method, route, str(status)).inc()
        for request_seconds in self._request_seconds:
            request_seconds.labels(route).observe(seconds)

    def turned(self, reply: TurnReply, seconds: float) -> None:
        """Count one turn with its tools, tokens and fallback."""
        metadata = reply.metadata
        planner = metadata.planner or "none"
        self._turns.labels(planner, str(metadata.llm_bypassed).lower()).inc()
        self._turn_seconds.labels(planner).observe(seconds)
        for tool in metadata.tools:
            # A model may call tools that there are not, by names of its own.
            name = "other" if TOOLS.get(tool.name) is None else tool.name
            self._tools.labels(name, "ok" if tool.ok else tool.reason or "failed").inc()
        if metadata.degraded:
            self._fallbacks.labels(metadata.degraded).inc()
        self._tokens.labels("input").inc(metadata.input_tokens)
        self._tokens.labels("output").inc(metadata.output_tokens)
        self._cost.inc(float(metadata.cost))

    def replayed(self) -> None:
        """Count one turn that had been answered before."""
        self._replays.inc()

    def failed(self, code: str) -> None:
        """Count one turn that failed."""
        self._failures.labels(code).inc()

    def submitted(self) -> None:
        """Count one order, at its first submission."""
        self._submissions.inc()

    def backlog(self, backlog: Backlog) -> None:
        """What the outbox holds."""
        self._backlog.set(backlog.pending)
        self._orders_apart.set(backlog.set_apart)

    def set_apart(self, stage: str, reason: str) -> None:
        """Count one thing that was set apart."""
        self._set_apart.labels(stage, reason).inc()

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        self._caches.refresh()
        return exposition(self._registry)
