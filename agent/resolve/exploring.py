"""Searching in a conversation: whether a message is about something new or refines the topic, and how well the tenant answers it.

A refinement is one search text out of two: the topic, and what a follow-up adds to it or replaces in it.

`esmalte blanco 1 lt` refined by `en negro` is `esmalte 1 lt negro`: a colour replaces a colour, a size of one kind a
size of that kind. What the follow-up does not touch stays.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Final

from agent.conversation.products import Found, FoundProduct, Product
from agent.ports import CatalogueSearch
from agent.resolve.matching import Slot, coverage, names, slots, terms
from retrieval.analysis.stemming import stem
from schemas.identity import TenantId

_COLOURS: Final = frozenset(
    stem(word)
    for word in [
        "blanco",
        "blanca",
        "negro",
        "negra",
        "rojo",
        "roja",
        "azul",
        "verde",
        "amarillo",
        "amarilla",
        "gris",
        "naranja",
        "anaranjado",
        "marron",
        "cafe",
        "beige",
        "crema",
        "rosa",
        "rosado",
        "morado",
        "violeta",
        "celeste",
        "plateado",
        "dorado",
        "transparente",
        "ocre",
        "oxido",
        "aluminio",
        "cromado",
        "cromada",
        "white",
        "black",
        "red",
        "blue",
        "green",
        "yellow",
        "grey",
        "gray",
        "orange",
        "brown",
        "clear",
        "silver",
        "gold",
        "pink",
        "purple",
        "preto",
        "branco",
        "vermelho",
        "cinza",
        "azules",
    ]
)
_ATTRIBUTE_START: Final = re.compile(
    r"(?:(?:el|la|los|las|lo|uno|una|unos|unas|un|the|ones?|o|algo|algun[oa]?s?)\s+)?(?:de|del|en|con|sin|para|p/|c/|s/|tipo|marca|color|cal|calibre|x|mas|que|in|with|without|for|grano|no\.?)\b"
    r"|(?:el|la|los|las|the|uno|una)\s+\S+(?:\s+ones?)?$|\W*\d"
)
_BASE: Final = re.compile(r"^[\d./x-]+")


def is_attribute(text: str) -> bool:
    """Whether a follow-up describes something already spoken of rather than names a thing: `de 3/4`, `en rojo`, `rojos`."""
    found = slots(text)
    return bool(_ATTRIBUTE_START.match(text)) or bool(found and (is_colour(found[0]) or found[0].is_size))


def is_colour(slot: Slot) -> bool:
    """Whether a word is a colour."""
    return stem(slot.word) in _COLOURS or slot.word in _COLOURS


def combine(topic: str, addition: str) -> str:
    """The topic's words that the addition does not replace, then the addition."""
    new = slots(addition)
    if not topic:
        return addition
    has_colour = any(is_colour(slot) for slot in new)
    new_bases = {base for slot in new for base in _bases(slot)}
    has_bare_number = any(slot.is_size and not slot.sizes for slot in new)
    new_terms = {term for slot in new for term in slot.terms}
    kept = []
    for word in topic.split():
        found = slots(word)
        if not found:
            continue
        slot = found[0]
        if slot.terms & new_terms or (has_colour and is_colour(slot)):
            continue
        kept.append(word)
    text = _without_sizes(" ".join(kept), new_bases) if new_bases or has_bare_number else " ".join(kept)
    return f"{text} {addition}".strip()


def head_of(topic: str) -> str:
    """The word that names what the topic is about: its first that is neither a size nor a colour."""
    for word in topic.split():
        found = slots(word)
        if found and not found[0].is_size and not is_colour(found[0]):
            return word
    return ""


def without_sizes(topic: str) -> str:
    """The topic's words that are no sizes: what stays the same of something larger."""
    return " ".join(word for word in topic.split() if (found := slots(word)) and not found[0].is_size)


def _bases(slot: Slot) -> set[str]:
    return {_BASE.sub("", size) for size in slot.sizes}


def _without_sizes(text: str, bases: set[str]) -> str:
    """A text without the sizes of these kinds; without any number where the new one says no kind."""
    sized = [slot for slot in slots(text) if slot.is_size and (not bases or _bases(slot) & bases or not slot.sizes)]
    if not sized:
        return text
    numbers = {term for slot in sized for term in slot.terms}
    words = text.split()
    kept = []
    for place, word in enumerate(words):
        own = {term for slot in slots(word) for term in slot.terms}
        is_unit = (
            place > 0 and any(character.isdigit() for character in words[place - 1]) and not slots(f"1 {word}")[1:]
        )
        if own & numbers or is_unit:
            continue
        kept.append(word)
    return " ".join(kept)


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
