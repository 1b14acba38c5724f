"""The reference of all settings, written from the settings themselves: `python -m ferroflux.settings_reference` prints it.

docs/reference/settings.md holds the output; a test compares the two, so a setting without documentation cannot land.
"""

import json
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings

from agent.settings import AgentSettings
from indexer.settings import IndexerSettings
from query_api.replica.settings import ReplicaSettings
from query_api.settings import ApiSettings

PROCESSES: Final[dict[str, type[BaseSettings]]] = {
    "ferroflux indexer": IndexerSettings,
    "ferroflux replica": ReplicaSettings,
    "ferroflux api": ApiSettings,
    "ferroflux agent": AgentSettings,
}

_INTRODUCTION: Final = """# Settings

Every process is configured by environment variables: `FERROFLUX_<SECTION>__<NAME>`. A section that several processes
share (`KAFKA`, `VECTORS`, `ENCODER`, `TEXT`) means the same in each. Lists and maps are written as JSON. Contradictory
settings are refused at start with a sentence that names them. `ferroflux up` reads the same variables and puts its own
addresses and folders over them.

This page is written by `python -m ferroflux.settings_reference`.
"""


def variables(model: type[BaseModel], prefix: str = "FERROFLUX_") -> Iterator[tuple[str, FieldInfo]]:
    """Every leaf of a settings tree as (environment variable, field)."""
    for name, field in model.model_fields.items():
        section = _model_of(field.annotation)
        if section is not None:
            yield from variables(section, f"{prefix}{name.upper()}__")
        else:
            yield f"{prefix}{name.upper()}", field


def render() -> str:
    """The whole page, Markdown."""
    pages = [_INTRODUCTION]
    for command, settings in PROCESSES.items():
        lines = [f"\n## `{command}`\n", "| variable | default | meaning |", "|---|---|---|"]
        lines += [f"| `{name}` | {_default(field)} | {_meaning(field)} |" for name, field in variables(settings)]
        pages.append("\n".join(lines) + "\n")
    return "".join(pages)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType):
        return next((model for part in get_args(annotation) if (model := _model_of(part)) is not None), None)
    return None


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, SecretStr) or value is None or value in ("", (), {}):
        return "none"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Path):
        value = _portable(value)
    if isinstance(value, tuple):
        value = ", ".join(map(str, value))
    if isinstance(value, dict):
        value = json.dumps({str(name): member for name, member in value.items()})
    return f"`{value}`"


def _portable(path: Path) -> str:
    """A path below the home directory, as any reader has it."""
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)


def _meaning(field: FieldInfo) -> str:
    text = (field.description or "").replace("|", "\\|")
    if isinstance(field.annotation, type) and issubclass(field.annotation, Enum):
        text = f"{text} One of {', '.join(f'`{member.value}`' for member in field.annotation)}.".strip()
    return text


if __name__ == "__main__":
    sys.stdout.write(render())
