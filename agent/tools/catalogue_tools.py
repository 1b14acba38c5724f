"""`catalog_search` and `follow_up_resolve`: finding products, and saying which one is meant.

The calls of one step often lead to the same search, which `CachedSearch` runs once; prices and stock (`items`) are read afresh.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Final, Unpack, cast

from pydantic import Field, StringConstraints

from agent.conversation.products import Found, FoundProduct, Product, card_of
from agent.conversation.state import Card, JsonValue, ShownCards, ThreadState
from agent.ports import CatalogueSearch, Narrowing
from agent.resolve.exploring import Explored, explore
from agent.resolve.matching import held, slots, terms
from agent.resolve.resolver import ReferenceContext, Resolved, Resolver
from agent.tools.registry import Arguments, Change, Effect, Text, Tool, ToolContext, Words
from schemas.identity import TenantId

_AROUND_WORDS: Final = ".,;:!?¡¿()"


class SearchArguments(Arguments):
    """Of `catalog_search`."""

    query: Text = Field(description="What to look for, in the reseller's own words: product, size, brand, colour.")
    new: bool = Field(False, description="True for another product than the one spoken of; false refines it.")


class ReferenceArguments(Arguments):
    """Of `follow_up_resolve`. Models are told to say something; nothing means what was spoken of last."""

    reference: Annotated[str, StringConstraints(max_length=500, strip_whitespace=True)] = Field(
        description='How the reseller refers to it: "the second", "the cheapest", "the 25 kg one".',
        json_schema_extra={"minLength": 1},
    )


async def _search(context: ToolContext, given: SearchArguments) -> Change:
    """Search for `query`; with `new` the topic of the conversation stays out of it."""
    state = context.state
    topic = "" if given.new else state.get("topic", "")
    explored = await explore(context.search, TenantId(state["tenant"]), given.query, topic=topic)
    cards = _cards(explored, context.limits.cards)
    data: dict[str, JsonValue] = {
        "query": explored.text,
        "confident": explored.confident,
        "low_confidence": explored.low_confidence,
        "refined": explored.refined,
        "cards": cast("JsonValue", cards),
    }
    if not explored.confident:
        return Change(data, shown=_shown(state, explored.text, cards), focus=())
    focus = (cards[0]["sku"],) if explored.is_specific else ()
    return Change(data, shown=_shown(state, explored.text, cards), topic=explored.text, focus=focus)


async def _resolve(context: ToolContext, given: ReferenceArguments) -> Change:
    """Say which product `reference` means: a rank, "that one", an attribute, the cheapest, a description."""
    state = context.state
    conversation = ReferenceContext(state.get("shown", []), state.get("topic", ""), state.get("focus", []))
    resolved = await Resolver(context.search, TenantId(state["tenant"]), conversation).resolve(given.reference)
    cards = _resolved_cards(resolved, context.limits.cards)
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
    return Change(data, shown=shown, topic=topic, focus=(product.sku,) if product else None)


def _cards(explored: Explored, limit: int) -> list[Card]:
    weak = not explored.confident
    return [found_card(hit, explored.text, weak=weak) for hit in explored.products[:limit]]


def found_card(found: FoundProduct, text: str, *, weak: bool) -> Card:
    """A hit as a card: its retrievers, then the words of the request that it holds, as they were written."""
    product = found.product
    own = terms(product.title, product.brand, product.category, product.sku)
    words = (word.strip(_AROUND_WORDS) for word in text.split())
    matched = dict.fromkeys(word for word in words if any(held(slot, own) > 0 for slot in slots(word)))
    return card_of(product, matched=[*found.signals, *matched], weak=weak)


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


CATALOGUE_TOOLS: Final = (
    Tool("catalog_search", SearchArguments, _search, Effect.READ, Words("Find products in the shop's catalogue.")),
    Tool(
        "follow_up_resolve",
        ReferenceArguments,
        _resolve,
        Effect.READ,
        Words("Find out which product the reseller refers to."),
    ),
)


_Question = tuple[TenantId, str, int, tuple[str, ...], Decimal | None, bool]


class CachedSearch:
    """`CatalogueSearch` over another one, for as long as one step of a turn lasts; a search that failed is asked again."""

    def __init__(self, search: CatalogueSearch) -> None:
        self._search: Final = search
        self._found: dict[_Question, Found] = {}

    async def find(self, tenant: TenantId, text: str, *, limit: int, **narrowed: Unpack[Narrowing]) -> Found:
        """Search, or give the answer that this very question had."""
        brands, price_max = tuple(narrowed.get("brands", ())), narrowed.get("price_max")
        question = (tenant, text, limit, brands, price_max, narrowed.get("in_stock", False))
        found = self._found.get(question)
        if found is None:
            found = await self._search.find(tenant, text, limit=limit, **narrowed)
            self._found[question] = found
        return found

    async def items(self, tenant: TenantId, skus: Sequence[str]) -> Mapping[str, Product]:
        """The products as they are now."""
        return await self._search.items(tenant, skus)

    async def vocabulary(self, tenant: TenantId, text: str, *, limit: int) -> list[str]:
        """Words of the catalogue near the text's."""
        return await self._search.vocabulary(tenant, text, limit=limit)
