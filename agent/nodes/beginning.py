"""The first node: the message becomes part of the conversation, and the way of the turn is chosen."""

from __future__ import annotations

from typing import Any

from agent.conversation.state import Draft, Message, ThreadState, ToolCall
from agent.language.detection import language_of
from agent.nodes.bypass import is_bypassed, needs_search
from agent.tools.order_tools import draft_of


async def begin(state: ThreadState) -> dict[str, Any]:
    """Count the turn, tell the language, and clear what the turn before was working on.

    A confirm button goes straight to `order_submit`; a first turn of one token goes past every planner.
    """
    work = state["work"]
    turn = state.get("turn", 0) + 1
    bypassed = not work["confirm_order"] and is_bypassed(work["message"], turn)
    pending = [ToolCall(id=f"{turn}.0.0", name="order_submit", args={})] if work["confirm_order"] else []
    draft = draft_of(state)
    said = [Message(role="user", text=work["message"], turn=turn)] if work["message"] else []
    return {
        "turn": turn,
        "draft": draft,
        "language": language_of(work["message"], locale=work["locale"], before=state.get("language", "es")),
        "messages": [*state.get("messages", []), *said],
        "work": {
            **work,
            "pending": pending,
            "bypassed": bypassed,
            "note": "welcome" if bypassed and not needs_search(work["message"]) else "",
            "apology": work.get("apology") or ("lines_dropped" if _has_dropped(state, draft) else ""),
        },
    }


def _has_dropped(state: ThreadState, draft: Draft) -> bool:
    """Whether the stored order had more lines than could be read of it."""
    stored: object = state.get("draft")
    lines = stored.get("lines") if isinstance(stored, dict) else None
    return isinstance(lines, list) and len(lines) > len(draft["lines"])
