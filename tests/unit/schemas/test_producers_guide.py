"""The examples of the producers' guide are true."""

import re

import pytest

from schemas.events.parser import Changes, EventParser
from schemas.mapping.compiled import compile_mapping
from schemas.mapping.loading import parse_mapping
from tests.support.data import ROOT

GUIDE = (ROOT / "docs" / "how-to" / "producers.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


@pytest.mark.parametrize("event", blocks("json"))
def test_an_event_of_the_guide_is_one(event):
    parsed = EventParser().parse(None, event.encode())
    assert isinstance(parsed, Changes)
    assert parsed.events[0].key.tenant == "norte"


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_mapping_of_the_guide_is_valid(text):
    assert compile_mapping(parse_mapping(text)).policy.price_list == "retail"


def test_the_guide_has_examples():
    assert blocks("json")
    assert blocks("yaml")
