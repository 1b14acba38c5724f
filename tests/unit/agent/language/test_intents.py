"""The tables of phrases: every line is a pattern by itself, so that a slip in one cannot hide in a long alternative."""

import re

import pytest

from agent.language import order_phrases as order_lines
from agent.language import order_phrases as whole_order
from agent.language import talk_phrases as catalogue
from agent.language import talk_phrases as talk

TABLES = {
    name: value
    for module in (catalogue, order_lines, talk, whole_order)
    for name, value in vars(module).items()
    if isinstance(value, tuple)
}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_each_phrase_is_a_pattern_that_needs_something(name: str) -> None:
    for phrase in TABLES[name]:
        assert not re.fullmatch(phrase, ""), phrase
