"""What a planner is given in a test."""

from agent.conversation.state import ToolResult
from agent.ports import TurnContext
from schemas.identity import TenantId


def context(message: str = "dame 3 cajas de clavos", **changes) -> TurnContext:
    given = {
        "tenant": TenantId("norte"), "turn": 1, "message": message, "language": "es", "history": (), "shown": (),
        "topic": "", "focus": (), "lines": (), "offered": False, "submitted": (), "hints": (), "results": (),
        "step": 0, "steps_left": 6, "calls_left": 24,
    }  # fmt: skip
    return TurnContext(**{**given, **changes})


def result(name: str, args: dict | None = None, *, ok: bool = True, data: dict | None = None) -> ToolResult:
    return ToolResult(
        id="1.1.0",
        name=name,
        args=args or {},
        ok=ok,
        reason="" if ok else "unknown_sku",
        data=data or {},
        milliseconds=1.0,
    )
