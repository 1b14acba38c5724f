"""Phrases to products: ranks, "that one", extremes, comparisons, descriptions; and saying so where it stays open."""

import pytest

from agent.conversation.products import card_of
from agent.conversation.state import ShownCards
from agent.resolve.resolver import ReferenceContext, Resolver
from schemas.identity import TenantId
from tests.support.agent.catalogue import HAMMERS, MemoryCatalogue

NORTE = TenantId("norte")
SHOWN = [ShownCards(turn=1, query="martillo", cards=[card_of(each) for each in HAMMERS])]


@pytest.mark.parametrize(
    ("phrase", "sku"),
    [
        ("el segundo", "MAR-2"),
        ("la ultima", "MAR-4"),
        ("el 3", "MAR-3"),
        ("opcion 1", "MAR-1"),
        ("el mas barato", "MAR-3"),
        ("cual es el mas barato", "MAR-3"),
        ("cuáles son los más baratos", "MAR-3"),
        ("which one is the cheapest", "MAR-3"),
        ("cual es el segundo", "MAR-2"),
        ("the most expensive one", "MAR-2"),
        ("el martillo de 16 oz más caro", "MAR-2"),
        ("el de bola", "MAR-3"),
        ("el de 24 oz", "MAR-4"),
        ("MAR-2", "MAR-2"),
        ("pintura vinilica negro 4 l", "PIN-2"),
        ("cemento gris de 50", "CEM-50"),
    ],
)
async def test_a_phrase_means_a_product(phrase: str, sku: str) -> None:
    resolved = await Resolver(MemoryCatalogue(), NORTE, ReferenceContext(SHOWN, "martillo", [])).resolve(phrase)
    assert resolved.status == "resolved"
    assert resolved.product is not None
    assert resolved.product.sku == sku


async def test_one_larger_than_that_is_the_next_larger() -> None:
    resolver = Resolver(MemoryCatalogue(), NORTE, ReferenceContext(SHOWN, "martillo", ["MAR-1"]))
    resolved = await resolver.resolve("uno más grande")
    assert resolved.product is not None
    assert resolved.product.sku == "MAR-2"


async def test_that_one_is_what_was_last_spoken_of() -> None:
    resolved = await Resolver(MemoryCatalogue(), NORTE, ReferenceContext(SHOWN, "martillo", ["MAR-3"])).resolve("ese")
    assert resolved.product is not None
    assert resolved.product.sku == "MAR-3"


@pytest.mark.parametrize(
    ("phrase", "status"),
    [("el noveno", "unknown"), ("", "ambiguous"), ("martillo", "ambiguous"), ("refrigerador", "missing")],
)
async def test_what_is_open_is_said_to_be_open(phrase: str, status: str) -> None:
    resolved = await Resolver(MemoryCatalogue(), NORTE, ReferenceContext(SHOWN, "martillo", [])).resolve(phrase)
    assert resolved.status == status


async def test_without_cards_nothing_is_that_one() -> None:
    resolved = await Resolver(MemoryCatalogue(), NORTE, ReferenceContext([], "", [])).resolve("ese")
    assert resolved.status == "unknown"
