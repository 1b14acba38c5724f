"""OpenTelemetry spans of a turn: one for the turn, one for each tool, under the trace that the caller began.

Attributes are names, outcomes and figures; arguments and messages are not among them, since spans leave the house.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from enum import StrEnum
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import BaseModel, ConfigDict, Field

from schemas.api.chat import TurnReply
from schemas.errors import ConfigurationError

_MILLISECOND_NS: Final = 1_000_000


class SpanExport(StrEnum):
    """Where spans go."""

    NONE = "none"
    CONSOLE = "console"
    OTLP = "otlp"


class ObservationSettings(BaseModel):
    """Tracing. Metrics are always at /metrics, and every turn's trace in the database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    spans: SpanExport = Field(
        SpanExport.NONE,
        description="none, console (standard error) or otlp; otlp needs the package opentelemetry-exporter-otlp-proto-http "
        "and reads OpenTelemetry's own variables.",
    )


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
        within = trace.set_span_in_context(turn)
        for tool in metadata.tools:
            span = self._tracer.start_span(f"agent.tool {tool.name}", context=within, start_time=at)
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
