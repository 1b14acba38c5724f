"""Why a card is there: the words that a person wrote, not their stems."""

import pytest

from agent.conversation.products import FoundProduct
from agent.tools.catalogue_tools import found_card
from tests.support.agent.catalogue import product

DISC = FoundProduct(product("DIS-1", "Disco de corte metal 4 1/2 pulg Ferrum"), 1.0, {"text": 2.0})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("discos de corte", ["discos", "corte"]),
        ("Discos, cortar", ["Discos", "cortar"]),
        ("disco disco", ["disco"]),
        ("disco para madera", ["disco"]),
        ("ferrum", ["ferrum"]),
    ],
)
def test_a_card_shows_the_words_as_they_were_written(text: str, words: list[str]) -> None:
    assert found_card(DISC, text, weak=False)["matched"] == ["text", *words]
