"""The tools of the open order. They know quantities and products; prices they take from the catalogue alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Final, cast

from pydantic import Field

from agent.conversation.limits import AgentLimits
from agent.conversation.order import draft_bytes, empty_draft, line_of, order_of, with_quantity, without
from agent.conversation.phrases import Say, money, unit_for
from agent.conversation.products import Product, plain
from agent.conversation.quantity import SMALLEST, QuantityError, is_nothing, quantity_of
from agent.conversation.recovery import draft_of
from agent.conversation.state import Draft, JsonValue, ThreadState
from agent.tools.packs import SellingQuantity, selling_quantity
from agent.tools.registry import (
    Arguments,
    Change,
    Counted,
    Effect,
    Number,
    Sku,
    Text,
    Tool,
    ToolContext,
    ToolRefusedError,
    Words,
    offer_refusal,
)
from schemas.identity import TenantId


class AddArguments(Arguments):
    """Of `order_add`."""

    sku: Sku = Field(description="A SKU that a tool gave.")
    quantity: Annotated[Decimal, Number] = Field(gt=0, description="How many, as the reseller counted.")
    package: Counted = Field("", description='What was counted, where it was said: "caja", "metro", "dozen".')
    lot: Counted = Field("", description='How many are in that package, where it was said: "1000" of "cajas de 1000".')


class UpdateArguments(AddArguments):
    """Of `order_update`."""

    sku: Text = Field(description="The SKU of a line of the order.")
    quantity: Annotated[Decimal, Number] = Field(ge=0, description="The new quantity of the line; 0 takes it out.")


class RemoveArguments(Arguments):
    """Of `order_remove`."""

    sku: Text = Field(description="The SKU of a line of the order.")


class NoArguments(Arguments):
    """Of the tools about the whole order."""


async def _add(context: ToolContext, given: AddArguments) -> Change:
    """Add `quantity` of `sku` to what the order has of it; `package` says what was counted (`caja`, `metro`)."""
    state, limits = context.state, context.limits
    product = await _product(context, given.sku)
    draft = draft_of(state)
    counted = _counted(product, given, limits)
    before = _quantity(draft, product.sku)
    if before == 0 and len(draft["lines"]) >= limits.order_lines:
        raise ToolRefusedError("too_many_lines", {"largest": limits.order_lines})
    total = _checked(before + counted.quantity, largest=limits.line_quantity)
    changed = with_quantity(draft, product, total, pack=counted.pack)
    if draft_bytes(changed) > context.size_limit.bytes:
        raise ToolRefusedError("order_too_large", {"lines": len(draft["lines"])})
    data = {**_line_data(product, total, before), **_count_data(counted), "added": plain(counted.quantity)}
    return Change(data, draft=changed, focus=_focus(state, product.sku))


async def _update(context: ToolContext, given: UpdateArguments) -> Change:
    """Set the quantity of a line; 0 takes it out."""
    if is_nothing(given.quantity):
        return await _remove(context, RemoveArguments(sku=given.sku))
    draft = draft_of(context.state)
    if line_of(draft, given.sku) is None:
        raise ToolRefusedError("not_in_order", {"sku": given.sku})
    product = await _product(context, given.sku)
    counted = _counted(product, given, context.limits)
    before = _quantity(draft, given.sku)
    changed = with_quantity(draft, product, counted.quantity, pack=counted.pack)
    data = {**_line_data(product, counted.quantity, before), **_count_data(counted)}
    return Change(data, draft=changed, focus=_focus(context.state, given.sku))


async def _remove(context: ToolContext, given: RemoveArguments) -> Change:
    """Take a line out."""
    draft, sku = draft_of(context.state), given.sku
    line = line_of(draft, sku)
    if line is None:
        raise ToolRefusedError("not_in_order", {"sku": sku})
    data: dict[str, JsonValue] = {"sku": sku, "title": line["title"], "before": line["quantity"]}
    focus = tuple(each for each in context.state.get("focus", []) if each != sku)
    return Change(data, draft=without(draft, sku), focus=focus)


async def _show(context: ToolContext, _given: NoArguments) -> Change:
    """Show the order; the reply reads its prices afresh."""
    return Change({"lines": len(draft_of(context.state)["lines"])})


async def _clear(context: ToolContext, _given: NoArguments) -> Change:
    """Empty the order and begin another one; what was shown of the old one can no longer be confirmed."""
    state = context.state
    draft = draft_of(state)
    await context.orders.withdraw(TenantId(state["tenant"]), draft["order_id"])
    fresh = empty_draft(state["tenant"], state["thread"], draft["serial"] + 1)
    return Change({"lines": len(draft["lines"])}, draft=fresh, focus=())


async def _submit(context: ToolContext, _given: NoArguments) -> Change:
    """Submit the order, if it is still as it was shown. Its id comes from the thread: a repeated call submits nothing twice.

    Raises:
        ToolRefusedError: the order is not as it was shown, or the topic takes less than when its lines were added.
        OrderClosedError: the order was withdrawn or submitted elsewhere with other lines.
    """
    state = context.state
    draft, tenant = draft_of(state), TenantId(state["tenant"])
    items = await context.search.items(tenant, [line["sku"] for line in draft["lines"]])
    order = order_of(draft, tenant, state["thread"], state.get("customer", ""), items)
    if refusal := offer_refusal(state, order):
        raise ToolRefusedError(refusal)
    if draft_bytes(draft) > context.size_limit.bytes:
        raise ToolRefusedError("order_too_large", {"lines": len(draft["lines"])})
    receipt = await context.orders.submit(order)
    fresh = empty_draft(state["tenant"], state["thread"], draft["serial"] + 1)
    data: dict[str, JsonValue] = {
        "order_id": receipt.order_id,
        "first": receipt.first,
        "total": plain(order.total),
        "currency": order.currency,
        "unpriced": order.unpriced,
        "lines": cast("JsonValue", [{**line} for line in draft["lines"]]),
    }
    return Change(data, draft=fresh, focus=(), submitted=receipt.order_id)


async def _product(context: ToolContext, sku: str) -> Product:
    product = (await context.search.items(TenantId(context.state["tenant"]), [sku])).get(sku)
    if product is None:
        raise ToolRefusedError("unknown_sku", {"sku": sku})
    return product


def _counted(product: Product, given: AddArguments, limits: AgentLimits) -> SellingQuantity:
    asked = _checked(given.quantity, largest=limits.line_quantity)
    counted = selling_quantity(product, asked, package=given.package, lot=given.lot)
    # A conversion may come to less than the smallest quantity, or to more than a line holds.
    return replace(counted, quantity=_checked(counted.quantity, largest=limits.line_quantity))


def _checked(number: Decimal, *, largest: int) -> Decimal:
    """A quantity.

    Raises:
        ToolRefusedError: it is none, or beyond the limit; the reason is the fault's own word.
    """
    try:
        return quantity_of(number, largest=largest)
    except QuantityError as error:
        raise ToolRefusedError(str(error.fault), {"largest": largest, "smallest": str(SMALLEST)}) from error


def _quantity(draft: Draft, sku: str) -> Decimal:
    line = line_of(draft, sku)
    return Decimal(line["quantity"]) if line else Decimal(0)


def _line_data(product: Product, quantity: Decimal, before: Decimal) -> dict[str, JsonValue]:
    return {
        "sku": product.sku,
        "title": product.title,
        "unit": product.unit,
        "quantity": plain(quantity),
        "before": plain(before),
        "stock": None if product.stock is None else plain(product.stock),
    }


def _count_data(counted: SellingQuantity) -> dict[str, JsonValue]:
    return {
        "converted": counted.converted,
        "pack": counted.pack,
        "mismatch": counted.mismatch and str(counted.mismatch),
    }


def _focus(state: ThreadState, sku: str) -> tuple[str, ...]:
    return (sku, *(each for each in state.get("focus", []) if each != sku))[:5]


def _told_added(data: dict[str, Any], say: Say) -> list[str]:
    unit = unit_for(Decimal(data["added"]), data["unit"])
    return [say("added", quantity=data["added"], unit=unit, title=data["title"]), *_told_mismatch(data, say)]


def _told_updated(data: dict[str, Any], say: Say) -> list[str]:
    if "quantity" not in data:
        return [say("removed", title=data["title"])]
    unit = unit_for(Decimal(data["quantity"]), data["unit"])
    return [say("updated", quantity=data["quantity"], unit=unit, title=data["title"]), *_told_mismatch(data, say)]


def _told_mismatch(data: dict[str, Any], say: Say) -> list[str]:
    """What a person has to know who counted otherwise than the tenant packs."""
    return [say(data["mismatch"], pack=data["pack"], unit=data["unit"])] if data.get("mismatch") else []


def _told_submitted(data: dict[str, Any], say: Say) -> list[str]:
    total = money(Decimal(data["total"]), data["currency"])
    extra = f" {say('unpriced', count=data['unpriced'])}" if data["unpriced"] else ""
    return [say("submitted", order=str(data["order_id"])[:8], total=total + extra)]


ORDER_TOOLS: Final = (
    Tool(
        "order_add",
        AddArguments,
        _add,
        Effect.WRITE,
        Words("Add a quantity of a product to the open order.", _told_added, shows_order=True),
    ),
    Tool(
        "order_update",
        UpdateArguments,
        _update,
        Effect.WRITE,
        Words("Set the quantity of a line of the open order.", _told_updated, shows_order=True),
    ),
    Tool(
        "order_remove",
        RemoveArguments,
        _remove,
        Effect.WRITE,
        Words(
            "Take a line out of the open order.",
            lambda data, say: [say("removed", title=data["title"])],
            shows_order=True,
        ),
    ),
    Tool(
        "order_show",
        NoArguments,
        _show,
        Effect.READ,
        Words("Show the open order with prices, stock and total as of now.", shows_order=True),
    ),
    Tool(
        "order_clear",
        NoArguments,
        _clear,
        Effect.GUARDED,
        Words(
            "Empty the open order. Only when the reseller asks for exactly that.",
            lambda _data, say: [say("cleared")],
            shows_order=True,
        ),
    ),
    Tool(
        "order_submit",
        NoArguments,
        _submit,
        Effect.GUARDED,
        Words(
            "Submit the open order. Only when the reseller's newest message confirms the order that was shown.",
            _told_submitted,
            shows_order=True,
        ),
    ),
)
