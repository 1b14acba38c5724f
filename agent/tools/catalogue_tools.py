"""`catalog_search` and `follow_up_resolve`: finding products, and saying which one is meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from agent.conversation.cards import card_of, found_card
from agent.conversation.limits import AgentLimits
from agent.conversation.state import Card, JsonValue, ShownCards, ThreadState
from agent.ports import CatalogueSearch, Product
from agent.resolve.exploring import Explored, explore
from agent.resolve.resolver import Conversation, Resolved, Resolver
from agent.tools.effect import Effect, text_argument
from schemas.identity import TenantId


async def catalog_search(
    state: ThreadState, args: Mapping[str, Any], search: CatalogueSearch, limits: AgentLimits
) -> Effect:
    """Search for `query`; with `new` the topic of the conversation stays out of it.

    Raises:
        ToolRefusedError: there is no usable query.
    """
    query = text_argument(args, "query")
    topic = "" if args.get("new") else state.get("topic", "")
    explored = await explore(search, TenantId(state["tenant"]), query, topic=topic)
    cards = _cards(explored, limits.cards)
    data: dict[str, JsonValue] = {
        "query": explored.text,
        "confident": explored.confident,
        "doubt": explored.doubt,
        "refined": explored.refined,
        "cards": cast("JsonValue", cards),
    }
    if not explored.confident:
        return Effect(data, shown=_shown(state, explored.text, cards), focus=())
    focus = (cards[0]["sku"],) if explored.is_specific else ()
    return Effect(data, shown=_shown(state, explored.text, cards), topic=explored.text, focus=focus)


async def follow_up_resolve(
    state: ThreadState, args: Mapping[str, Any], search: CatalogueSearch, limits: AgentLimits
) -> Effect:
    """Say which product `reference` means: a rank, "that one", an attribute, the cheapest, a description.

    Raises:
        ToolRefusedError: there is no usable reference.
    """
    reference = text_argument(args, "reference") if args.get("reference") else ""
    conversation = Conversation(state.get("shown", []), state.get("topic", ""), state.get("focus", []))
    resolved = await Resolver(search, TenantId(state["tenant"]), conversation).resolve(reference)
    cards = _resolved_cards(resolved, limits.cards)
    product = resolved.product
    data: dict[str, JsonValue] = {
        "status": resolved.status,
        "how": resolved.how,
        "sku": product.sku if product else "",
        "title": product.title if product else "",
        "unit": product.unit if product else "",
        "confident": resolved.explored.confident if resolved.explored else resolved.status == "resolved",
        "cards": cast("JsonValue", cards),
        "searched": resolved.explored is not None,
    }
    explored = resolved.explored
    searched = explored is not None and (explored.confident or resolved.status == "missing")
    topic = explored.text if explored is not None and explored.confident else None
    shown = _shown(state, explored.text if explored else "", cards) if searched and cards else None
    return Effect(data, shown=shown, topic=topic, focus=(product.sku,) if product else None)


def _cards(explored: Explored, limit: int) -> list[Card]:
    weak = not explored.confident
    return [found_card(hit, explored.text, weak=weak) for hit in explored.products[:limit]]


def _resolved_cards(resolved: Resolved, limit: int) -> list[Card]:
    """The product first, then what else there was to choose from."""
    weak = resolved.status == "missing"
    chosen: Sequence[Product] = (resolved.product,) if resolved.product else ()
    skus = {product.sku for product in chosen}
    rest = [product for product in resolved.choices if product.sku not in skus]
    cards = [card_of(product, matched=[resolved.how], weak=weak) for product in chosen]
    return [*cards, *(card_of(product, weak=weak) for product in rest)][:limit]


def _shown(state: ThreadState, query: str, cards: list[Card]) -> ShownCards:
    return ShownCards(turn=state.get("turn", 0), query=query, cards=cards)
