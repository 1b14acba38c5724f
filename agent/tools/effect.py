"""What a tool call comes to: the state that changes and the result that the planner sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from agent.conversation.state import Draft, JsonValue, Offer, ShownCards
from schemas.errors import FerrofluxError


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
    """A quantity above 0, with at most three decimals.

    Raises:
        ToolRefusedError: it is not a number, not above 0, or beyond the limit.
    """
    value = args.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ToolRefusedError("invalid_argument", {"argument": name})
    try:
        quantity = Decimal(str(value))
    except InvalidOperation as error:
        raise ToolRefusedError("invalid_argument", {"argument": name}) from error
    if not quantity.is_finite() or quantity <= 0:
        raise ToolRefusedError("invalid_quantity", {"quantity": str(value)})
    if quantity > largest:
        raise ToolRefusedError("quantity_too_large", {"quantity": str(value), "largest": largest})
    return quantity.quantize(Decimal("0.001")).normalize()
