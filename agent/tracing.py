"""How one turn can be looked into: OpenTelemetry spans, the trace that is stored beside the turn, and one log line.

Attributes of spans are names, outcomes and figures; arguments and messages are not among them, since spans leave the house.
The stored trace has the arguments, too: it is made from what the turn itself reports, and deleted with its thread.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agent.settings import ObservationSettings, SpanExport
from schemas.api.chat import TurnReply
from schemas.errors import ConfigurationError

_MILLISECOND_NS: Final = 1_000_000


class TurnSpans:
    """Makes the spans of finished turns. With no exporter it costs nothing."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer("ferroflux.agent", version("ferroflux"))
        self._propagator = TraceContextTextMapPropagator()

    @classmethod
    def of(cls, settings: ObservationSettings) -> TurnSpans:
        """Spans as the settings say.

        Raises:
            ConfigurationError: OTLP is asked for and its exporter is not installed.
        """
        if settings.spans is SpanExport.NONE:
            return cls(None)
        return cls.exporting(_exporter(settings.spans))

    @classmethod
    def exporting(cls, exporter: SpanExporter) -> TurnSpans:
        """Spans to this exporter, in the background."""
        provider = TracerProvider(resource=Resource.create({"service.name": "ferroflux-agent"}))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    def record(self, reply: TurnReply, *, started_ns: int, finished_ns: int, headers: Mapping[str, str]) -> None:
        """The spans of one turn. Tools ran one after another; each is given its own length."""
        if self._tracer is None:
            return
        metadata = reply.metadata
        turn = self._tracer.start_span(
            "agent.turn",
            context=self._propagator.extract(dict(headers)),
            kind=SpanKind.SERVER,
            start_time=started_ns,
            attributes={
                "ferroflux.tenant": reply.tenant,
                "ferroflux.turn": reply.turn,
                "ferroflux.planner": metadata.planner,
                "ferroflux.llm_bypassed": metadata.llm_bypassed,
                "ferroflux.degraded": metadata.degraded,
                "gen_ai.usage.input_tokens": metadata.input_tokens,
                "gen_ai.usage.output_tokens": metadata.output_tokens,
            },
        )
        at = started_ns
        parent = trace.set_span_in_context(turn)
        for tool in metadata.tools:
            span = self._tracer.start_span(f"agent.tool {tool.name}", context=parent, start_time=at)
            at = min(finished_ns, at + int(tool.milliseconds * _MILLISECOND_NS))
            if not tool.ok:
                span.set_status(Status(StatusCode.ERROR, tool.reason))
            span.end(at)
        turn.end(finished_ns)

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()


def _exporter(kind: SpanExport) -> SpanExporter:
    if kind is SpanExport.CONSOLE:
        return ConsoleSpanExporter()
    try:
        exporters = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise ConfigurationError(
            "observation.spans is otlp: install opentelemetry-exporter-otlp-proto-http, or set it to console or none"
        ) from error
    exporter: SpanExporter = exporters.OTLPSpanExporter()
    return exporter


def trace_of(reply: TurnReply, *, request_id: str, seconds: float) -> dict[str, Any]:
    """The trace in plain JSON."""
    metadata = reply.metadata
    return {
        "request_id": request_id,
        "turn": reply.turn,
        "language": reply.language,
        "planner": metadata.planner,
        "bypassed": metadata.llm_bypassed,
        "degraded": metadata.degraded,
        "stopped": metadata.stopped,
        "models": list(metadata.models),
        "input_tokens": metadata.input_tokens,
        "output_tokens": metadata.output_tokens,
        "cost": str(metadata.cost),
        "tools": [
            {
                "name": tool.name,
                "args": tool.args,
                "ok": tool.ok,
                "reason": tool.reason,
                "milliseconds": round(tool.milliseconds, 2),
            }
            for tool in metadata.tools
        ],
        "latency_ms": {step: round(milliseconds, 2) for step, milliseconds in metadata.latency_ms.items()},
        "total_ms": round(seconds * 1000, 2),
        "cards": [card.sku for card in reply.cards],
        "order": {"id": reply.order.order_id, "status": reply.order.status, "lines": len(reply.order.lines)},
        "low_confidence": metadata.low_confidence,
        "no_results": metadata.no_results,
        "asks_back": metadata.asks_back,
    }


def log_fields(trace: dict[str, Any]) -> dict[str, Any]:
    """What the canonical log line may hold: names, outcomes and figures; no message, no argument, no product."""
    shown = ("turn", "planner", "bypassed", "degraded", "stopped", "input_tokens", "output_tokens", "cost", "total_ms")
    return {
        **{name: trace[name] for name in shown},
        "tools": [f"{tool['name']}:{'ok' if tool['ok'] else tool['reason'] or 'failed'}" for tool in trace["tools"]],
        "cards": len(trace["cards"]),
        "order_lines": trace["order"]["lines"],
        "order_status": trace["order"]["status"],
    }
