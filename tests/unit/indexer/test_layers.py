"""The contract of the indexer's layers names every module: import-linter says nothing of one that no layer has."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_every_module_of_the_indexer_is_in_one_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (one["layers"] for one in contracts if one.get("containers") == ["indexer"])
    named = [name for layer in layers for name in re.findall(r"[\w.]+", layer)]
    modules = {
        ".".join(path.relative_to(ROOT / "indexer").with_suffix("").parts)
        for path in (ROOT / "indexer").rglob("*.py")
        if path.name != "__init__.py"
    }
    places = {module: [name for name in named if f"{module}.".startswith(f"{name}.")] for module in modules}
    assert {module: found for module, found in places.items() if len(found) != 1} == {}
