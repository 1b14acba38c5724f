"""Searching in a conversation: is this about something new, or about the topic? And how well does the tenant answer it?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from agent.conversation.products import Found, FoundProduct, Product
from agent.ports import CatalogueSearch
from agent.resolve.matching import Slot, coverage, names, slots, terms
from agent.resolve.refinement import combine, head_of, is_attribute
from schemas.identity import TenantId

LOOKED_AT: Final = 30
"""Hits that are judged; more than are shown, since "the cheapest" may stand further down."""
FULL: Final = 0.999
NEARLY: Final = 0.6


@dataclass(frozen=True, slots=True)
class Explored:
    """What a search found, best covered first. `text` is what was searched in the end: the new topic."""

    text: str
    products: tuple[FoundProduct, ...]
    confident: bool
    refined: bool
    best: float
    """The share of the request's words that the first product holds."""
    full: int
    """How many products hold every word of it."""
    low_confidence: str = ""
    """Search's own reason to think that the tenant does not have it; empty: none."""

    @property
    def is_specific(self) -> bool:
        """Whether the request says enough for its first product to be meant."""
        return self.confident and (self.full == 1 or len(slots(self.text)) > 1)


async def explore(
    search: CatalogueSearch, tenant: TenantId, text: str, *, topic: str = "", new: bool = False
) -> Explored:
    """Search for a text, alone or together with the topic, whichever the catalogue bears out.

    A text that only describes (`de 3/4`, `en rojo`) is tried with the topic first; one that names a thing by itself is
    tried alone first. The other way is taken where the first finds nothing that holds the words.
    """
    combined = combine(topic, text) if topic and not new else ""
    if not combined or combined == text:
        return _judged(text, await search.find(tenant, text, limit=LOOKED_AT), refined=False)
    if is_attribute(text):
        refined = _judged(combined, await search.find(tenant, combined, limit=LOOKED_AT), refined=True)
        if refined.best >= FULL:
            return refined
        found, narrowed = await asyncio.gather(
            search.find(tenant, text, limit=LOOKED_AT), _by_head(search, tenant, topic, text, combined)
        )
        alone = _judged(text, found, refined=False)
        best_refined = max((each for each in (refined, narrowed) if each is not None), key=lambda each: each.best)
        return alone if _names_itself(text, alone) and alone.best > best_refined.best else best_refined
    alone = _judged(text, await search.find(tenant, text, limit=LOOKED_AT), refined=False)
    if alone.confident and _names_itself(text, alone):
        return alone
    refined = _judged(combined, await search.find(tenant, combined, limit=LOOKED_AT), refined=True)
    if refined.confident and refined.best >= FULL:
        return refined
    return alone


async def _by_head(search: CatalogueSearch, tenant: TenantId, topic: str, text: str, combined: str) -> Explored | None:
    """The refinement of the topic's name alone: what was narrowed before may not go with what is asked now."""
    head = head_of(topic)
    narrowed = f"{head} {text}"
    if not head or slots(narrowed) == slots(combined):
        return None
    return _judged(narrowed, await search.find(tenant, narrowed, limit=LOOKED_AT), refined=True)


def covering(products: tuple[Product, ...], text: str, *, least: float = FULL) -> list[Product]:
    """The products that hold the words of a text, in their order."""
    request = slots(text)
    return [product for product in products if request and share(request, product) >= least]


def share(request: tuple[Slot, ...], product: Product) -> float:
    """How much of a request a product holds, attributes included."""
    extra = " ".join([product.category, *product.attributes.values()])
    return coverage(request, terms(product.title, product.brand, extra, product.sku))


def of_kind(products: tuple[FoundProduct, ...], text: str) -> list[Product]:
    """The products that are what the text names, not merely for it: `carretilla`, not a tyre for one."""
    request = slots(text)
    whole = [found.product for found in products if share(request, found.product) >= FULL]
    named = [product for product in whole if names(request, terms(product.title))]
    return named or whole


def _judged(text: str, found: Found, *, refined: bool) -> Explored:
    request = slots(text)
    exact = [hit for hit in found.products if "code" in hit.signals]
    shares = {hit.product.sku: share(request, hit.product) for hit in found.products}
    # Search ranks; only whether the words are all there moves a product up, and a code that was typed comes first.
    # Among those that hold the words equally, nobody means the one that is sold out.
    ranked = sorted(
        found.products,
        key=lambda hit: (
            hit not in exact,
            -_weight(shares[hit.product.sku]),
            not names(request, terms(hit.product.title)),
            shares[hit.product.sku] >= NEARLY and _is_sold_out(hit.product),
        ),
    )
    best = 1.0 if exact else shares[ranked[0].product.sku] if ranked else 0.0
    full = len(exact) or sum(value >= FULL for value in shares.values())
    return Explored(text, tuple(ranked), found.confident, refined, best, full, found.low_confidence)


def _weight(held: float) -> float:
    """How much the words count in the order of the hits: below a half they say less than search does."""
    return round(held, 1) if held >= NEARLY else 0.0


def _is_sold_out(product: Product) -> bool:
    """Whether the tenant says that it has none; a tenant that says nothing may have some."""
    return product.stock is not None and product.stock <= 0


def _names_itself(text: str, alone: Explored) -> bool:
    """Whether the text names what it finds: a hit's title begins with one of its words, or it is found by its code."""
    request = slots(text)
    return any("code" in hit.signals or names(request, terms(hit.product.title)) for hit in alone.products[:5])
