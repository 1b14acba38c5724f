"""The cards of a resolved reference say why the one is there, and nothing of the others."""

from agent.resolve.resolver import Resolved
from agent.tools.catalogue_tools import _resolved_cards
from tests.support.agent.catalogue import HAMMERS


def test_only_the_product_that_was_meant_carries_the_reason() -> None:
    meant, *others = HAMMERS
    cards = _resolved_cards(Resolved("resolved", meant, (others[0], meant, *others[1:]), how="cheapest"), 3)
    assert [card["sku"] for card in cards] == [meant.sku, others[0].sku, others[1].sku]
    assert [card["matched"] for card in cards] == [["cheapest"], [], []]
