"""The tools as a model sees them, and the check of what it asks for.

No tool takes a price, a total or a tenant: there is no argument by which a model, or a text that talked it into
something, could set one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from agent.conversation.state import JsonValue
from agent.ports import PlannedCall


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool: its name, what it is for, and the model of its arguments."""

    name: str
    description: str
    arguments: type[BaseModel]

    def to_openai(self) -> dict[str, Any]:
        """The tool as chat models take it."""
        schema = self.arguments.model_json_schema()
        schema.pop("title", None)
        schema.pop("description", None)
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": schema},
        }


class InvalidCallError(ValueError):
    """A model asked for a tool that there is not, or with arguments that it does not take."""


class Toolbox:
    """The tools of one agent, by name."""

    def __init__(self, specs: Sequence[ToolSpec]) -> None:
        self._specs = {spec.name: spec for spec in specs}

    def to_openai(self) -> list[dict[str, Any]]:
        """All of them, as chat models take them."""
        return [spec.to_openai() for spec in self._specs.values()]

    def check(self, name: str, arguments: Mapping[str, Any]) -> PlannedCall:
        """The call, its arguments validated and in plain JSON; what was left out stays left out.

        Raises:
            InvalidCallError: there is no such tool, or it does not take these.
        """
        spec = self._specs.get(name)
        if spec is None:
            raise InvalidCallError(f"there is no tool {name[:60]!r}")
        try:
            valid = spec.arguments.model_validate(dict(arguments))
        except ValidationError as error:
            places = sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()})
            raise InvalidCallError(f"{name} does not take these arguments: {', '.join(places)}") from error
        plain: dict[str, JsonValue] = valid.model_dump(mode="json", exclude_unset=True)
        return PlannedCall(name, plain)
