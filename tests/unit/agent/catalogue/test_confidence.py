"""When a search is believed: words, codes and nearness each by themselves, and what search's own doubt takes away."""

import pytest

from agent.catalogue.answers import is_confident
from agent.conversation.products import FoundProduct
from tests.support.agent.catalogue import product

HAMMER = product("MAR-1", "Martillo de uña 16 oz Ferrum")


@pytest.mark.parametrize(
    ("text", "signals", "doubted", "confident"),
    [
        ("martillo de uña", {"text": 3.0}, False, True),
        ("martillo de uña", {"text": 3.0}, True, True),
        ("claw hammer", {"dense": 0.87}, False, True),
        ("claw hammer", {"dense": 0.87}, True, False),
        ("claw hammer", {"dense": 0.80}, False, False),
        ("martillo neumático industrial", {"text": 1.0, "dense": 0.83}, False, False),
        ("martillo demoledor", {"text": 1.0, "dense": 0.85}, False, True),
        ("martillo demoledor", {"text": 1.0, "dense": 0.85}, True, False),
        ("zzz-9", {"code": 1.0}, True, True),
    ],
)
def test_words_are_believed_and_nearness_only_where_search_does_not_doubt(
    text: str, signals: dict[str, float], doubted: bool, confident: bool
) -> None:
    assert is_confident(text, [FoundProduct(HAMMER, 1.0, signals)], low_confidence=doubted) is confident


def test_nothing_found_is_not_believed() -> None:
    assert not is_confident("martillo", [])
