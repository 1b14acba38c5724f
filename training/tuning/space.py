"""The configurations that a search for better settings tries, and the chosen one as text.

The text is YAML for `--settings`; in its comments stand the environment variables that set the same in the processes.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from schemas.errors import ConfigurationError
from training.systems.settings import EvaluationSettings, setting_values

Space = Mapping[str, Sequence[Any]]
"""Values to try by setting."""
Overrides = Mapping[str, Any]

_WEIGHTS: Final = "search.weights."
_LISTING: Final = "search.weights.list"
"""What answers where there is no query text, so never in a judged set."""
_RRF_K: Final = "search.rrf_k"
_WEIGHT_FACTORS: Final = (0.5, 0.75, 1.0, 1.5, 2.0)
_RRF_KS: Final = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)


def default_space(settings: EvaluationSettings) -> dict[str, list[Any]]:
    """Fusion: its constant, and the weight of every retriever that weighs something, from half to twice."""
    space: dict[str, list[Any]] = {_RRF_K: list(_RRF_KS)}
    for name, value in setting_values(settings):
        if name.startswith(_WEIGHTS) and value and name != _LISTING:
            space[name] = [round(value * factor, 4) for factor in _WEIGHT_FACTORS]
    return space


def parse_space(texts: Sequence[str]) -> dict[str, list[Any]]:
    """`key=value,value,…` texts to a space.

    Raises:
        ConfigurationError: a text is not of that form.
    """
    space: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, raw = text.partition("=")
        try:
            values = yaml.safe_load(f"[{raw}]") if equals else None
        except yaml.YAMLError as error:
            raise ConfigurationError(f"--space {text!r}: the values cannot be read ({error})") from error
        if not values:
            raise ConfigurationError(
                f"--space {text!r} is not of the form key=value,value such as search.rrf_k=10,30,60"
            )
        space[name.strip()] = values
    return space


def configurations(space: Space, trials: int, seed: int) -> list[Overrides]:
    """At most `trials` distinct configurations, the unchanged settings first: all combinations, or a seeded sample.

    The sample is drawn before anything is measured. A search that follows its own results would choose with the very
    queries that a fold holds out.
    """
    names = list(space)
    size = math.prod(len(values) for values in space.values())
    found: dict[tuple[Any, ...], None] = {}
    if size < trials:
        found = dict.fromkeys(itertools.product(*space.values()))
    else:
        rng = random.Random(seed)  # noqa: S311 - a sample, no secret
        while len(found) < trials - 1:
            found[tuple(rng.choice(values) for values in space.values())] = None
    return [{}, *(dict(zip(names, values, strict=True)) for values in found)]


_VARIABLE: Final = "# FERROFLUX_"


def write_settings(path: Path, snippet: str) -> None:
    """Keep a snippet: as `KEY='value'` lines for the processes where the file's name ends in `.env`, else as it is.

    An environment file is what a shell (`set -a; . ./tuned.env`), systemd's `EnvironmentFile` and compose's `env_file` read.
    """
    if path.suffix == ".env" or path.name == ".env":
        lines = [
            line.removeprefix("# ") if line.startswith(_VARIABLE) else line
            for line in snippet.splitlines()
            if line.startswith("#")
        ]
        snippet = "\n".join(lines) + "\n"
    path.write_text(snippet, encoding="utf-8")


def settings_snippet(overrides: Mapping[str, Any], settings: EvaluationSettings, why: str) -> str:
    """A YAML file of `key: value` lines; in its comments why, and the environment variables of the same.

    A mapping is given whole as a variable, so that what was measured stays pinned when a default changes.
    """
    lines = [f"# {line}" for line in why.splitlines()]
    tree = settings.changed(overrides).model_dump(mode="json")
    for name in sorted({_variable_path(name, tree) for name in overrides}):
        value = _value(tree, name)
        text = json.dumps(value) if isinstance(value, dict | list | bool) else str(value)
        lines.append(f"# FERROFLUX_{'__'.join(part.upper() for part in name.split('.'))}='{text}'")
    lines.append(yaml.safe_dump(dict(overrides), sort_keys=True).strip() if overrides else "{}")
    return "\n".join(lines) + "\n"


def _variable_path(name: str, tree: Mapping[str, Any]) -> str:
    """The setting itself, or the mapping that it is a member of (`search.weights` of `search.weights.dense`)."""
    path = name.split(".")
    field = EvaluationSettings.model_fields[path[0]].annotation
    for depth, part in enumerate(path[1:], start=2):
        fields = getattr(field, "model_fields", {})
        if part not in fields:
            return ".".join(path[: depth - 1])
        field = fields[part].annotation
    return ".".join(path) if tree else name


def _value(tree: Mapping[str, Any], name: str) -> Any:
    value: Any = tree
    for part in name.split("."):
        value = value[part]
    return value
