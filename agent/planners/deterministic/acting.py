"""Second half of a turn: what to do with what was looked up. A product that is not certain is never put into an order."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from agent.conversation.cards import plain
from agent.conversation.state import DraftLine, JsonValue, ToolResult
from agent.language.actions import Action
from agent.language.quantities import Quantity
from agent.language.reading import Request
from agent.planners.deterministic.inquiring import inquiry_of
from agent.planners.deterministic.lines import target_line
from agent.ports import PlannedCall, TurnContext


def act(requests: Sequence[Request], inquiries: Sequence[PlannedCall], context: TurnContext) -> list[PlannedCall]:
    """The calls that carry the requests out, in their order."""
    results = iter(context.results[: len(inquiries)])
    calls: list[PlannedCall] = []
    for request in requests:
        found = next(results, None) if inquiry_of(request, context) is not None else None
        calls.extend(_carry_out(request, found, context))
    return calls


def _carry_out(request: Request, found: ToolResult | None, context: TurnContext) -> list[PlannedCall]:  # noqa: PLR0911 - one return a case reads as the table that it is
    match request.action:
        case Action.ADD:
            return _add(request, found, context)
        case Action.CHANGE:
            return _change(request, context)
        case Action.REMOVE:
            return _remove(request, context)
        case Action.REPLACE:
            return _replace(request, found, context)
        case Action.SHOW:
            return [PlannedCall("order_show", {})]
        case Action.CLEAR:
            return [PlannedCall("order_clear", {})]
        case _:
            return []


def _add(request: Request, found: ToolResult | None, context: TurnContext) -> list[PlannedCall]:
    if found is None:
        line = target_line("", context)
        return [] if line is None else [_added(line["sku"], request.quantity)]
    sku = _resolved_sku(found)
    return [_added(sku, request.quantity)] if sku else []


def _change(request: Request, context: TurnContext) -> list[PlannedCall]:
    line = target_line(request.text, context)
    if request.quantity is None:
        return []
    if line is None:
        return [PlannedCall("order_update", {"sku": request.text or "?", "quantity": _count(request.quantity)})]
    if request.quantity.more:
        return [_added(line["sku"], request.quantity)]
    return [PlannedCall("order_update", {"sku": line["sku"], **_counted(request.quantity)})]


def _remove(request: Request, context: TurnContext) -> list[PlannedCall]:
    line = target_line(request.text, context)
    if line is None:
        return [PlannedCall("order_remove", {"sku": request.text or "?"})]
    return [_less(line, request.quantity)]


def _less(line: DraftLine, quantity: Quantity | None) -> PlannedCall:
    """A line taken out, or lessened where an amount was said that leaves something of it."""
    left = Decimal(line["quantity"]) - quantity.count if quantity is not None else Decimal(0)
    if left > 0:
        return PlannedCall("order_update", {"sku": line["sku"], "quantity": plain(left)})
    return PlannedCall("order_remove", {"sku": line["sku"]})


def _replace(request: Request, found: ToolResult | None, context: TurnContext) -> list[PlannedCall]:
    """One line out, another in, as many as there were unless a number was said."""
    sku = _resolved_sku(found) if found is not None else ""
    line = target_line(request.text, context)
    if not sku:
        return []
    if line is None:
        return [_added(sku, request.quantity)] if request.quantity is not None else []
    if line["sku"] == sku:
        return []
    quantity = _counted(request.quantity) if request.quantity is not None else {"quantity": line["quantity"]}
    return [PlannedCall("order_remove", {"sku": line["sku"]}), PlannedCall("order_add", {"sku": sku, **quantity})]


def _resolved_sku(found: ToolResult) -> str:
    if not found["ok"] or found["data"].get("status") != "resolved":
        return ""
    return str(found["data"].get("sku", ""))


def _added(sku: str, quantity: Quantity | None) -> PlannedCall:
    return PlannedCall("order_add", {"sku": sku, **(_counted(quantity) if quantity is not None else {"quantity": "1"})})


def _counted(quantity: Quantity) -> dict[str, JsonValue]:
    counted: dict[str, JsonValue] = {"quantity": _count(quantity)}
    if quantity.package:
        counted["package"] = quantity.package
    if quantity.lot:
        counted["lot"] = quantity.lot
    elif quantity.pack_size:
        counted["lot"] = str(quantity.pack_size)
    return counted


def _count(quantity: Quantity) -> str:
    return plain(quantity.count)
