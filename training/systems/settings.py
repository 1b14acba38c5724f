"""The settings of a system under test, and changing one of them by its dotted name: `search.weights.dense=2`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from retrieval.encoders.settings import EncoderSettings
from retrieval.search.settings import SearchSettings
from retrieval.text.settings import FieldWeights
from schemas.errors import ConfigurationError

_PATIENT: Final[Mapping[str, Any]] = {
    "search": {"deadline_s": 60.0, "hydration_deadline_s": 60.0, "rerank": {"budget_ms": 600_000.0}}
}
"""A busy machine must not change what is found: in an evaluation no retriever is left out for being late, and reranking has all the time it needs."""
_PARTS: Final = {"rerank": "search.rerank"}
"""Sections that may be named without the one that they are in."""


class TextScoring(BaseModel):
    """The part of the text index's settings that decides ranking."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: FieldWeights = FieldWeights()


class EvaluationSettings(BaseModel):
    """What `--set` reaches: the same sections and names as the query worker's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    search: SearchSettings = SearchSettings()
    text: TextScoring = TextScoring()
    encoder: EncoderSettings = EncoderSettings()

    @classmethod
    def patient(cls) -> Self:
        """The shipped defaults with deadlines that no machine misses."""
        return cls.model_validate(_PATIENT)

    def changed(self, overrides: Mapping[str, Any]) -> Self:
        """A copy with settings replaced, each by its dotted name.

        Raises:
            ConfigurationError: there is no such setting, or the value does not fit it.
        """
        tree = self.model_dump()
        for name, value in overrides.items():
            _place(tree, name, value)
        try:
            return type(self).model_validate(tree)
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in error.errors())
            raise ConfigurationError(f"a setting is not valid: {problems}") from error


def parse_overrides(assignments: Sequence[str]) -> dict[str, Any]:
    """`key=value` texts to values; a value is read as YAML, so `true`, `2.5` and `[a, b]` are what they look like.

    Raises:
        ConfigurationError: an assignment has no `=`, or its value is not YAML.
    """
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, raw = assignment.partition("=")
        if not equals or not name.strip():
            raise ConfigurationError(f"--set {assignment!r} is not of the form key=value, such as search.rrf_k=30")
        try:
            overrides[name.strip()] = yaml.safe_load(raw)
        except yaml.YAMLError as error:
            raise ConfigurationError(f"--set {assignment!r}: the value cannot be read ({error})") from error
    return overrides


def setting_values(model: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting by its dotted name with its value, in the order of definition; mappings member by member."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        dotted = f"{prefix}{name}"
        if isinstance(value, BaseModel):
            yield from setting_values(value, f"{dotted}.")
        elif isinstance(value, dict) and value:
            yield from ((f"{dotted}.{key}", member) for key, member in value.items())
        else:
            yield dotted, value


def _place(tree: dict[str, Any], name: str, value: Any) -> None:
    section, dot, rest = name.partition(".")
    *path, last = f"{_PARTS.get(section, section)}{dot}{rest}".split(".")
    branch: Any = tree
    for step in path:
        branch = branch.get(step) if isinstance(branch, dict) else None
    if not isinstance(branch, dict):
        raise ConfigurationError(f"there is no setting {name!r}; `ferroflux eval --list-settings` lists them")
    branch[last] = value
