"""The configurations that a search for better settings tries: some values for some settings, in all combinations or a sample."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from schemas.errors import ConfigurationError
from training.systems.settings import LabSettings, setting_values

Space = Mapping[str, Sequence[Any]]
"""Values to try by setting."""
Overrides = Mapping[str, Any]

_WEIGHTS: Final = "search.weights."
_LISTING: Final = "search.weights.list"
"""What answers where there is no query text, so never in a judged set."""
_RRF_K: Final = "search.rrf_k"
_WEIGHT_FACTORS: Final = (0.5, 0.75, 1.0, 1.5, 2.0)
_RRF_KS: Final = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)


def default_space(settings: LabSettings) -> dict[str, list[Any]]:
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
