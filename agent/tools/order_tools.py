"""The tools that change the open order. They know quantities and products; prices they take from the catalogue alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from agent.conversation.cards import plain
from agent.conversation.draft import draft_bytes, empty_draft, line_of, order_of, with_quantity, without
from agent.conversation.limits import AgentLimits, OrderRoom
from agent.conversation.mending import sound_draft
from agent.conversation.quantity import is_nothing
from agent.conversation.state import Draft, JsonValue, ThreadState
from agent.language.confirmation import is_assent, is_explicit_confirmation
from agent.ports import CatalogueSearch, OrderSink, Product
from agent.tools.effect import Effect, ToolRefusedError, checked_quantity, quantity_argument, text_argument
from agent.tools.packs import SellingQuantity, selling_quantity
from schemas.identity import TenantId


def draft_of(state: ThreadState) -> Draft:
    """The open order, as far as what is stored of it is one; the first one of a thread is empty."""
    return sound_draft(state.get("draft")) or empty_draft(state["tenant"], state["thread"], 1)


async def order_add(
    state: ThreadState, args: Mapping[str, Any], search: CatalogueSearch, limits: AgentLimits, room: OrderRoom
) -> Effect:
    """Add `quantity` of `sku` to what the order has of it; `package` says what was counted (`caja`, `metro`).

    Raises:
        ToolRefusedError: an argument is not valid, the shop has no such SKU, or a limit is reached.
    """
    product = await _product(state, args, search)
    draft = draft_of(state)
    counted = _counted(product, args, limits)
    before = _quantity(draft, product.sku)
    if before == 0 and len(draft["lines"]) >= limits.order_lines:
        raise ToolRefusedError("too_many_lines", {"largest": limits.order_lines})
    total = checked_quantity(before + counted.quantity, largest=limits.line_quantity)
    changed = with_quantity(draft, product, total, pack=counted.pack)
    if draft_bytes(changed) > room.bytes:
        raise ToolRefusedError("order_too_large", {"lines": len(draft["lines"])})
    data = {**_line_data(product, total, before), **_count_data(counted), "added": plain(counted.quantity)}
    return Effect(data, draft=changed, focus=_focus(state, product.sku))


async def order_update(
    state: ThreadState, args: Mapping[str, Any], search: CatalogueSearch, limits: AgentLimits
) -> Effect:
    """Set the quantity of a line; 0 takes it out.

    Raises:
        ToolRefusedError: an argument is not valid, or the order has no such line.
    """
    if is_nothing(args.get("quantity")):
        return order_remove(state, {"sku": args.get("sku")})
    draft = draft_of(state)
    sku = text_argument(args, "sku")
    if line_of(draft, sku) is None:
        raise ToolRefusedError("not_in_order", {"sku": sku})
    product = await _product(state, args, search)
    counted = _counted(product, args, limits)
    before = _quantity(draft, sku)
    changed = with_quantity(draft, product, counted.quantity, pack=counted.pack)
    return Effect(
        {**_line_data(product, counted.quantity, before), **_count_data(counted)},
        draft=changed,
        focus=_focus(state, sku),
    )


def order_remove(state: ThreadState, args: Mapping[str, Any]) -> Effect:
    """Take a line out.

    Raises:
        ToolRefusedError: the order has no such line.
    """
    draft = draft_of(state)
    sku = text_argument(args, "sku")
    line = line_of(draft, sku)
    if line is None:
        raise ToolRefusedError("not_in_order", {"sku": sku})
    data: dict[str, JsonValue] = {"sku": sku, "title": line["title"], "before": line["quantity"]}
    focus = tuple(each for each in state.get("focus", []) if each != sku)
    return Effect(data, draft=without(draft, sku), focus=focus)


def order_show(state: ThreadState) -> Effect:
    """Show the order; the reply reads its prices afresh."""
    return Effect({"lines": len(draft_of(state)["lines"])})


async def order_clear(state: ThreadState, orders: OrderSink) -> Effect:
    """Empty the order and begin another one; what was shown of the old one can no longer be confirmed."""
    draft = draft_of(state)
    await orders.withdraw(TenantId(state["tenant"]), draft["order_id"])
    fresh = empty_draft(state["tenant"], state["thread"], draft["serial"] + 1)
    return Effect({"lines": len(draft["lines"])}, draft=fresh, focus=())


async def order_submit(state: ThreadState, search: CatalogueSearch, orders: OrderSink, room: OrderRoom) -> Effect:
    """Submit the order, where the person has confirmed in so many words the very order that was shown.

    The gate stands here and not in a planner: no model, product or message can go around it. The order's id comes from
    the thread, so a repeated call submits nothing twice.

    Raises:
        ToolRefusedError: there is nothing to submit, the message does not confirm, or the order is not as it was shown.
        OrderClosedError: the order was withdrawn or submitted elsewhere with other lines.
    """
    draft = draft_of(state)
    if not draft["lines"]:
        raise ToolRefusedError("empty_order")
    if not _is_confirmed(state):
        raise ToolRefusedError("not_confirmed")
    tenant = TenantId(state["tenant"])
    items = await search.items(tenant, [line["sku"] for line in draft["lines"]])
    order = order_of(draft, tenant, state["thread"], state.get("customer", ""), items)
    offer = state.get("offer")
    wanted = state["work"]["confirm_digest"] if "work" in state else ""
    if offer is None or offer["order_id"] != order.order_id:
        raise ToolRefusedError("not_shown")
    if order.digest != (wanted or offer["digest"]):
        raise ToolRefusedError("changed")
    if draft_bytes(draft) > room.bytes:
        # The topic takes less than when its lines were added.
        raise ToolRefusedError("order_too_large", {"lines": len(draft["lines"])})
    receipt = await orders.submit(order)
    fresh = empty_draft(state["tenant"], state["thread"], draft["serial"] + 1)
    data: dict[str, JsonValue] = {
        "order_id": receipt.order_id,
        "first": receipt.first,
        "total": plain(order.total),
        "currency": order.currency,
        "unpriced": order.unpriced,
        "lines": cast("JsonValue", [{**line} for line in draft["lines"]]),
    }
    return Effect(data, draft=fresh, focus=(), submitted=receipt.order_id)


def _is_confirmed(state: ThreadState) -> bool:
    """Whether this turn is the person's own yes: the button of this order, the word, or a bare yes to our question."""
    work = state.get("work")
    if work is None:
        return False
    if work["confirm_order"]:
        return work["confirm_order"] == draft_of(state)["order_id"]
    if is_explicit_confirmation(work["message"]):
        return True
    offer = state.get("offer")
    asked = offer is not None and offer["turn"] == state.get("turn", 0) - 1
    return asked and is_assent(work["message"])


async def _product(state: ThreadState, args: Mapping[str, Any], search: CatalogueSearch) -> Product:
    sku = text_argument(args, "sku", longest=256)
    product = (await search.items(TenantId(state["tenant"]), [sku])).get(sku)
    if product is None:
        raise ToolRefusedError("unknown_sku", {"sku": sku})
    return product


def _counted(product: Product, args: Mapping[str, Any], limits: AgentLimits) -> SellingQuantity:
    asked = quantity_argument(args, "quantity", largest=limits.line_quantity)
    package, lot = str(args.get("package") or ""), str(args.get("lot") or "")
    counted = selling_quantity(product, asked, package=package, lot=lot)
    # A conversion may come to less than the smallest quantity, or to more than a line holds.
    return replace(counted, quantity=checked_quantity(counted.quantity, largest=limits.line_quantity))


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
