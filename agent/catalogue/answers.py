"""What an answer of the search is worth: which products can be read, what their figures say, and whether the tenant has what was asked for.

One product that cannot be read does not take the others of an answer with it: it is left out, logged and counted. An answer
of which nothing can be read counts as no answer: the search speaks another language than we do.

Two witnesses say that the tenant has it: how much of the request the best hit holds in so many words, and how near its
meaning is. A request whose words no title holds may still be right (another language, a nickname), but then its vector has to
be near, or both the text index (through its aliases) and the vectors have to agree on the same product. Where search itself
has low confidence (no product has all the words, and none is near), only words count: something near in meaning is then
what every request has, a neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Final, Generic, TypeVar

from agent.conversation.products import FoundProduct, Product
from agent.errors import CatalogueUnavailableError
from agent.resolve.matching import coverage, slots, terms
from runtime.isolation import Batch, DefectError, Isolation
from schemas.api.items import Item
from schemas.api.limits import MAX_PRICE
from schemas.documents import SearchDocument

T = TypeVar("T")
R = TypeVar("R")

Counted = Callable[[str, str], None]
"""Takes the stage and the reason of each thing that was set apart."""

STAGE: Final = "catalogue answer"

_NO_PRODUCTS_FAULT: Final = 5
"""Products of one answer of which not one can be read, from which it is the search that fails. A conversation may well be
about two or three products that all have the same fault, and has to go on."""


class Readings(Generic[T]):
    """The things of one answer, read one by one; `name` tells one for the log."""

    def __init__(
        self, isolation: Isolation, things: Iterable[T], *, name: Callable[[T], str], counted: Counted
    ) -> None:
        self._things = tuple(things)
        self._batch: Batch[T] = isolation.batch(len(self._things))
        self._name = name
        self._counted = counted

    def read(self, step: Callable[[T], R]) -> list[R]:
        """What the step makes of each thing; those at which it fails are left out.

        Raises:
            CatalogueUnavailableError: it failed at every one of many.
        """
        made: list[R] = []
        try:
            for thing in self._things:
                with self._batch.one(thing, name=self._name(thing)):
                    made.append(step(thing))
        except DefectError as error:
            raise CatalogueUnavailableError(str(error)) from error
        for apart in self._batch.set_apart:
            self._counted(STAGE, apart.reason.code)
        if len(self._things) >= _NO_PRODUCTS_FAULT and not made:
            raise CatalogueUnavailableError("the search answers in another form than this version knows")
        return made


def uncounted(_stage: str, _reason: str) -> None:
    """For callers without metrics."""


_LARGEST_STOCK: Final = 1e15
_MILLIONTHS: Final = 6
"""Decimals of a price or a stock, as far as the orders' tables go."""
TOP: Final = 5
WELL_COVERED: Final = 0.6
"""Share of the request's words in the best title from which words alone are enough."""
SOMEWHAT_COVERED: Final = 0.34
NEAR: Final = 0.865
"""Cosine of the query's and the product's vectors (E5) from which meaning alone is enough."""
RATHER_NEAR: Final = 0.845


def is_confident(text: str, found: Sequence[FoundProduct], *, low_confidence: bool = False) -> bool:
    """Whether any of the best hits is what was asked for. `low_confidence`: search itself doubts it."""
    request = slots(text)
    if not found:
        return False
    if not request:
        return True
    for hit in found[:TOP]:
        if "code" in hit.signals:
            return True
        share = coverage(request, terms(hit.product.title, hit.product.brand, hit.product.category, hit.product.sku))
        near = 0.0 if low_confidence else hit.signals.get("dense", 0.0)
        if share >= WELL_COVERED or near >= NEAR or (share >= SOMEWHAT_COVERED and near >= RATHER_NEAR):
            return True
    return False


def product_of(document: SearchDocument | Item) -> Product:
    """A stored document, or an item of an answer, as the agent's product. Tenants write 0 where they have no price, so 0 is none."""
    return Product(
        sku=document.sku,
        title=document.title,
        brand=document.brand,
        category=document.category,
        unit=document.unit,
        price=money(document.price),
        currency=document.currency,
        stock=on_hand(document.stock),
        image=document.images[0] if document.images else "",
        attributes={name: str(value) for name, value in document.attributes.items()},
    )


def money(price: float | None) -> Decimal | None:
    """A price as the catalogue has it, to the millionth; None where there is none, only a zero in its place, or no amount of money."""
    if price is None or not 0 < price <= MAX_PRICE:
        return None
    amount = exact(price)
    return None if amount == 0 else amount


def on_hand(stock: float | None) -> Decimal | None:
    """How much there is; None where the tenant does not say, or says what no store holds."""
    if stock is None or not abs(stock) <= _LARGEST_STOCK:
        return None
    return exact(stock)


def exact(number: float) -> Decimal:
    """The shortest decimal that is this float, to the millionth, as far as the orders' tables go."""
    if number == int(number):
        return Decimal(int(number))
    return round(Decimal(repr(number)), _MILLIONTHS).normalize()
