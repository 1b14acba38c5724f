"""The stored trace of a turn: which planner, which tools with which arguments and outcomes, tokens, time by step.

It is made from what the turn itself reports, kept beside the turn in the database, and deleted with its thread.
"""

from __future__ import annotations

from typing import Any

from schemas.api.chat import TurnReply


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
