"""What a tool call comes to: the state that changes and the result that the planner sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from agent.conversation.quantity import SMALLEST, QuantityError, quantity_of
from agent.conversation.state import Draft, JsonValue, Offer, ShownCards
from schemas.errors import FerrofluxError

UNKNOWN_TOOL: Final = "unknown_tool"
"""The reason of a call of a tool that there is not."""


class ToolRefusedError(FerrofluxError):
    """A tool call cannot be carried out as it was asked for. The reason names what is wrong; nothing was changed."""

    code = "tool_refused"

    def __init__(self, reason: str, data: Mapping[str, JsonValue] | None = None) -> None:
        super().__init__(f"tool call refused: {reason}")
        self.reason = reason
        self.data = dict(data or {})


@dataclass(frozen=True, slots=True)
class Effect:
    """What changes: a field that is None stays. `data` is what the planner and the reply see."""

    data: dict[str, JsonValue] = field(default_factory=dict)
    draft: Draft | None = None
    focus: tuple[str, ...] | None = None
    shown: ShownCards | None = None
    topic: str | None = None
    submitted: str | None = None
    offer: Offer | None = None


def text_argument(args: Mapping[str, Any], name: str, *, longest: int = 500) -> str:
    """A text argument.

    Raises:
        ToolRefusedError: it is missing, blank, too long or no text.
    """
    value = args.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > longest:
        raise ToolRefusedError("invalid_argument", {"argument": name})
    return value.strip()


def quantity_argument(args: Mapping[str, Any], name: str, *, largest: int) -> Decimal:
    """A quantity, as `agent.conversation.quantity` reads it.

    Raises:
        ToolRefusedError: it is none; the reason is the fault's own word.
    """
    value = args.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ToolRefusedError("invalid_argument", {"argument": name})
    return checked_quantity(value, largest=largest)


def checked_quantity(value: float | str | Decimal, *, largest: int) -> Decimal:
    """A quantity.

    Raises:
        ToolRefusedError: it is none, or beyond the limit.
    """
    try:
        return quantity_of(value, largest=largest)
    except QuantityError as error:
        raise ToolRefusedError(str(error.fault), {"largest": largest, "smallest": str(SMALLEST)}) from error
