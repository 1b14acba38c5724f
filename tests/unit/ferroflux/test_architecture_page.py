"""The architecture page is true to the code: every path that it names is there, and its walks and recipes are as short as promised."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
PATH = re.compile(r"`((?:schemas|runtime|retrieval|indexer|query_api|agent|training|ferroflux|tests|docs)/[\w./-]*)`")
MOST_MODULES = {
    "From a change to what a search finds": 22,
    "From a query to its answer": 18,
    "From a turn to an order": 20,
}
RECIPES = 10
MOST_FILES = 5


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_every_path_that_it_names_is_there() -> None:
    named = PATH.findall(PAGE)
    assert len(named) > len(MOST_MODULES)
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("walk", MOST_MODULES)
def test_a_walk_names_one_module_a_hop_and_is_short(walk: str) -> None:
    text = section("Three walks").split(f"**{walk}**", 1)[1].split("**", 1)[0]
    hops = re.findall(r"^\d+\. (.*)$", text, flags=re.MULTILINE)
    modules = [PATH.match(hop) for hop in hops]
    assert all(module is not None and module[1].endswith(".py") for module in modules), hops
    assert len({module[1] for module in modules if module}) == len(hops) <= MOST_MODULES[walk]


def test_a_recipe_touches_few_files() -> None:
    rows = re.findall(r"^\| an? [^|]+\| (.*) \|$", section("Ten recipes"), flags=re.MULTILINE)
    assert len(rows) == RECIPES
    assert all(1 <= len(PATH.findall(row)) <= MOST_FILES for row in rows)
