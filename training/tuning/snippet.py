"""Chosen settings as text: lines for `--settings`, and the same as variables for the processes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from training.systems.settings import LabSettings

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


def settings_snippet(overrides: Mapping[str, Any], settings: LabSettings, why: str) -> str:
    """A YAML file of `key: value` lines; in its comments why, and the environment variables of the same.

    A mapping is given whole as a variable, since one of its members alone would stand for all of it.
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
    field = LabSettings.model_fields[path[0]].annotation
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
