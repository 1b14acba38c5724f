"""From a phrase to one product: a code, a rank, "that one", the cheapest, or a description, in that order.

The last cards come first; where they do not hold what was said, the catalogue is searched, with the topic or without.
What stays open is said to be open: an order is never filled by guessing among equals. Products are compared by the
catalogue's prices and by the sizes in their titles.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from typing import Final, Literal

from agent.conversation.products import Product
from agent.conversation.state import ShownCards
from agent.language.references import Extreme, Reference, bare, read_reference
from agent.ports import CatalogueSearch
from agent.resolve.exploring import NEARLY, Explored, covering, explore, of_kind, without_sizes
from agent.resolve.matching import slots
from retrieval.analysis.folding import fold, fold_code
from retrieval.analysis.pipeline import analyse
from retrieval.analysis.tokens import TokenKind
from schemas.identity import TenantId

Status = Literal["resolved", "ambiguous", "unknown", "missing"]

_CODE: Final = re.compile(r"(?=\S*\d)[\w./&+-]{3,40}|[a-z]{4,20}")
_MOST_CODES: Final = 12
"""Words of one phrase that are tried as codes, each of which may cost a search."""
_MANY: Final = 12
"""Products that hold every word of a description, from which it is too general to order by."""


@dataclass(frozen=True, slots=True)
class ReferenceContext:
    """What a phrase may lean on."""

    shown: Sequence[ShownCards]
    topic: str
    focus: Sequence[str]


@dataclass(frozen=True, slots=True)
class Resolved:
    """`resolved`: this product. `ambiguous`: one of these. `unknown`: nothing says which. `missing`: the catalogue has none.

    `how` names the way that led there. `explored` is the search where one was made, and `choices` what is to be shown.
    """

    status: Status
    product: Product | None = None
    choices: tuple[Product, ...] = ()
    how: str = ""
    explored: Explored | None = None


class Resolver:
    """Resolves phrases of one tenant's conversation."""

    def __init__(self, search: CatalogueSearch, tenant: TenantId, conversation: ReferenceContext) -> None:
        self._search = search
        self._tenant = tenant
        self._conversation = conversation

    async def resolve(self, phrase: str) -> Resolved:  # noqa: PLR0911 - one return a case reads as the table that it is
        """The product that a phrase means.

        Raises:
            CatalogueUnavailableError: search did not answer.
        """
        by_code = await self._by_code(phrase)
        if by_code is not None:
            return Resolved("resolved", by_code, how="code")
        reference = read_reference(fold(phrase))
        shown = await self._cards()
        if reference.ordinal:
            return self._by_rank(reference, shown)
        if reference.compared is not None:
            return await self._by_comparison(reference, shown)
        if reference.extreme is not None:
            return await self._by_extreme(reference, shown)
        if not reference.rest:
            return await self._by_focus(shown)
        if reference.that:
            focus = await self._focus()
            if focus is not None and covering((focus,), reference.rest):
                return Resolved("resolved", focus, how="focus")
        return await self._by_description(reference, shown)

    async def _by_code(self, phrase: str) -> Product | None:
        """A SKU in the phrase, as the catalogue writes it; letters alone count only where they are all that is said."""
        spoken = [bare_word for word in phrase.split() if (bare_word := word.strip("\"'()[],;:!?"))]
        alone = len(slots(bare(fold(phrase)))) == 1
        coded = (word for word in spoken if _CODE.fullmatch(fold(word)) and (alone or _is_mixed(word)))
        candidates = list(islice(coded, _MOST_CODES))
        if not candidates:
            return None
        spellings = {spelling for word in candidates for spelling in (word, word.upper())}
        items = await self._search.items(self._tenant, sorted(spellings))
        if items:
            return next(
                items[spelling] for word in candidates for spelling in (word, word.upper()) if spelling in items
            )
        for word in candidates:
            if _is_mixed(word):
                found = await self._search.find(self._tenant, word, limit=2)
                exact = [hit.product for hit in found.products if "code" in hit.signals]
                if len(exact) == 1 and fold_code(exact[0].sku) == fold_code(word):
                    return exact[0]
        return None

    def _by_rank(self, reference: Reference, shown: tuple[Product, ...]) -> Resolved:
        pool = shown
        if reference.rest:
            pool = tuple(covering(shown, reference.rest)) or shown
        rank = reference.ordinal - 1 if reference.ordinal > 0 else len(pool) + reference.ordinal
        if 0 <= rank < len(pool):
            return Resolved("resolved", pool[rank], how="rank")
        return Resolved("unknown", choices=shown, how="rank")

    async def _by_focus(self, shown: tuple[Product, ...]) -> Resolved:
        focus = await self._focus()
        if focus is not None:
            return Resolved("resolved", focus, how="focus")
        if len(shown) == 1:
            return Resolved("resolved", shown[0], how="only")
        return Resolved("ambiguous" if shown else "unknown", choices=shown, how="focus")

    async def _by_extreme(self, reference: Reference, shown: tuple[Product, ...]) -> Resolved:
        assert reference.extreme is not None
        explored, pool = await self._pool(reference.rest, shown)
        best = extreme_of(pool, reference.extreme)
        if best is None:
            return Resolved(
                "ambiguous" if pool else "missing", choices=tuple(pool), how="not comparable", explored=explored
            )
        return Resolved("resolved", best, tuple(pool), how=str(reference.extreme), explored=explored)

    async def _by_comparison(self, reference: Reference, shown: tuple[Product, ...]) -> Resolved:
        assert reference.compared is not None
        than = await self._focus() or (shown[0] if shown else None)
        if than is None:
            return Resolved("unknown", how="comparison")
        kind = reference.rest or without_sizes(self._conversation.topic)
        explored, pool = await self._pool(kind, shown)
        found = beyond(pool, than, reference.compared)
        if not found:
            return Resolved("missing", choices=(), how="comparison", explored=explored)
        return Resolved("resolved", found[0], tuple(found), how=f"{reference.compared} than", explored=explored)

    async def _pool(self, description: str, shown: tuple[Product, ...]) -> tuple[Explored | None, list[Product]]:
        """What is compared: all of the catalogue that is of the kind spoken of, and what was shown of it."""
        held = covering(shown, description) if description else list(shown)
        topic = self._conversation.topic
        text = description or topic
        if not text:
            return None, held
        explored = await explore(self._search, self._tenant, text, topic=topic if description else "")
        pool = of_kind(explored.products, explored.text) if explored.confident else []
        return explored, pool or held

    async def _by_description(self, reference: Reference, shown: tuple[Product, ...]) -> Resolved:
        rest, topic = reference.rest, self._conversation.topic
        request = slots(rest)
        held = covering(shown, rest)
        adds = [slot for slot in request if not any(slot.terms & other.terms for other in slots(topic))]
        if len(held) == 1 or (held and adds and (len(request) > 1 or reference.definite)):
            return Resolved("resolved", held[0], tuple(held), how="cards")
        if held and (reference.definite or reference.that):
            focus = await self._focus()
            if focus is not None and focus.sku in {product.sku for product in held}:
                return Resolved("resolved", focus, how="focus")
        explored = await explore(self._search, self._tenant, rest, topic=topic)
        choices = tuple(hit.product for hit in explored.products)
        if not explored.confident:
            return Resolved("missing", choices=choices, how="search", explored=explored)
        top_is_code = "code" in explored.products[0].signals
        if top_is_code or explored.full == 1:
            return Resolved("resolved", choices[0], choices, how="search", explored=explored)
        if len(slots(explored.text)) < 2 or explored.full > _MANY or explored.best < NEARLY:
            return Resolved("ambiguous", choices=choices, how="search", explored=explored)
        return Resolved("resolved", choices[0], choices, how="search", explored=explored)

    async def _cards(self) -> tuple[Product, ...]:
        """The last cards as they are now, in the order in which they were shown."""
        last = self._conversation.shown[-1]["cards"] if self._conversation.shown else []
        items: Mapping[str, Product] = await self._search.items(self._tenant, [card["sku"] for card in last])
        return tuple(items[card["sku"]] for card in last if card["sku"] in items)

    async def _focus(self) -> Product | None:
        for sku in self._conversation.focus[:1]:
            return (await self._search.items(self._tenant, [sku])).get(sku)
        return None


def _is_mixed(word: str) -> bool:
    """Whether a word looks like a code wherever it stands: letters and digits, or four digits and more."""
    digits = sum(character.isdigit() for character in word)
    letters = sum(character.isalpha() for character in word)
    return (
        digits >= 4
        or (digits >= 1 and letters >= 2 and digits + letters >= 5)
        or (len(word) >= 4 and word.isupper() and word.isalpha())
    )


_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)([a-z]+\d?)")


def extreme_of(products: Sequence[Product], extreme: Extreme) -> Product | None:
    """The product at that end of the scale, the earliest of equals; None where nothing can be compared."""
    scored = _scored(products, extreme)
    if not scored:
        return None
    sign = 1 if extreme in _ASCENDING else -1
    return min(scored, key=lambda entry: (sign * entry[0], entry[1]))[2]


def beyond(products: Sequence[Product], than: Product, extreme: Extreme) -> list[Product]:
    """The products that have more of it than this one, the nearest first."""
    scale = _scale_of(than, extreme)
    own = _value(than, extreme, scale)
    if own is None:
        return []
    sign = 1 if extreme in _ASCENDING else -1
    found = []
    for place, product in enumerate(products):
        value = _value(product, extreme, scale)
        if value is not None and product.sku != than.sku and sign * value < sign * own:
            found.append((-sign * value, place, product))
    return [product for _, _, product in sorted(found, key=lambda entry: entry[:2])]


_ASCENDING: Final = frozenset({Extreme.CHEAPEST, Extreme.SMALLEST})
_BY_PRICE: Final = frozenset({Extreme.CHEAPEST, Extreme.DEAREST})


def _scored(products: Sequence[Product], extreme: Extreme) -> list[tuple[Decimal, int, Product]]:
    scale = "" if extreme in _BY_PRICE else _common_scale(products)
    values = ((_value(product, extreme, scale), place, product) for place, product in enumerate(products))
    return [(value, place, product) for value, place, product in values if value is not None]


def _value(product: Product, extreme: Extreme, scale: str) -> Decimal | None:
    if extreme in _BY_PRICE:
        return product.price
    return dict(_sizes(product.title)).get(scale)


def _scale_of(product: Product, extreme: Extreme) -> str:
    if extreme in _BY_PRICE:
        return ""
    return next((unit for unit, _ in _sizes(product.title)), "")


def _common_scale(products: Sequence[Product]) -> str:
    """The kind of size that most of the products have."""
    counts: dict[str, int] = {}
    for product in products:
        for unit in dict(_sizes(product.title)):
            counts[unit] = counts.get(unit, 0) + 1
    return max(counts, key=lambda unit: counts[unit], default="")


def _sizes(title: str) -> list[tuple[str, Decimal]]:
    """The sizes of a title as (base unit, value), in its order, the first of each unit; bare numbers have no unit."""
    found: dict[str, Decimal] = {}
    for token in analyse(title).tokens:
        match = _SIZE.fullmatch(token.text) if token.kind is TokenKind.MEASURE else None
        if match:
            found.setdefault(match[2], Decimal(match[1]))
        elif token.kind is TokenKind.NUMBER and token.text.isdigit() and len(token.text) <= 4:
            found.setdefault("", Decimal(token.text))
    return list(found.items())
