"""A tool and the table of tools: the one declaration that schemas for models, guards, dispatch, metrics and replies derive from.

No tool takes a price, a total or a tenant: there is no argument by which a model, or a text that talked it into
something, could set one. Of a tool that cannot be taken back (`Effect.GUARDED`), one judgement holds whoever plans the turn:
a planner may want to submit or to empty an order at any time; `ToolRunner` lets it only where this module finds the person's
own words, or the button of the very order, and `order_submit` only for the order as it was shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from agent.conversation.limits import AgentLimits, OrderSizeLimit
from agent.conversation.order import Order
from agent.conversation.phrases import Say
from agent.conversation.quantity import Fault, read_number
from agent.conversation.recovery import draft_of
from agent.conversation.state import Draft, JsonValue, ShownCards, ThreadState
from agent.language.actions import Action
from agent.language.guards import is_assent, is_explicit_confirmation
from agent.language.reading import read_message
from agent.ports import CatalogueSearch, OrderSink, PlannedCall
from schemas.errors import FerrofluxError

UNKNOWN_TOOL: Final = "unknown_tool"
"""The reason of a call of a tool that there is not."""

_NO_QUANTITY: Final = frozenset({Fault.INVALID, "greater_than", "greater_than_equal"})
"""Kinds of validation errors that say of a number that it is no quantity."""


class ToolRefusedError(FerrofluxError):
    """A tool call cannot be carried out as it was asked for. The reason names what is wrong; nothing was changed."""

    code = "tool_refused"

    def __init__(self, reason: str, data: Mapping[str, JsonValue] | None = None) -> None:
        super().__init__(f"tool call refused: {reason}")
        self.reason = reason
        self.data = dict(data or {})


class InvalidCallError(ValueError):
    """A model asked for a tool that there is not, or with arguments that it does not take. Its answer is not used."""


class Effect(StrEnum):
    """What a tool does to the order."""

    READ = "read"
    WRITE = "write"
    GUARDED = "guarded"
    """It cannot be taken back: `agent.tools.registry` decides whether the person asked for it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a tool changes of the state: a field that is None stays. `data` is what the planner and the reply see."""

    data: dict[str, JsonValue] = field(default_factory=dict)
    draft: Draft | None = None
    focus: tuple[str, ...] | None = None
    shown: ShownCards | None = None
    topic: str | None = None
    submitted: str | None = None


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool works on: the state before it, the catalogue, the orders, and the bounds."""

    state: ThreadState
    search: CatalogueSearch
    orders: OrderSink
    limits: AgentLimits
    size_limit: OrderSizeLimit


@dataclass(frozen=True, slots=True)
class Words:
    """A tool in words: what models are told that it is for, and what a person is told that it did.

    `told` makes the sentences from the result's data; `shows_order` has the reply end with the open order.
    """

    purpose: str
    told: Callable[[dict[str, Any], Say], list[str]] = lambda _data, _say: []
    shows_order: bool = False


class Arguments(BaseModel):
    """The arguments of a tool: what it takes, and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool. `run` gets the context and an instance of `arguments`, and may raise `ToolRefusedError`."""

    name: str
    arguments: type[Arguments]
    run: Callable[[ToolContext, Any], Awaitable[Change]]
    effect: Effect
    words: Words

    def read(self, given: Mapping[str, Any]) -> Arguments:
        """The arguments of a call; what else a planner gives is not looked at.

        Raises:
            ToolRefusedError: one is missing or not valid: `invalid_argument`, or `invalid_quantity` for a number that is none.
        """
        known = self.arguments.model_fields
        try:
            return self.arguments.model_validate({name: given[name] for name in known if given.get(name) is not None})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            reason = Fault.INVALID if first["type"] in _NO_QUANTITY else "invalid_argument"
            raise ToolRefusedError(str(reason), {"argument": str(first["loc"][0])}) from error

    def to_openai(self) -> dict[str, Any]:
        """The tool as chat models take it."""
        schema = self.arguments.model_json_schema()
        schema.pop("title", None)
        schema.pop("description", None)
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.words.purpose, "parameters": schema},
        }


class ToolRegistry:
    """The tools of one agent, by name."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def get(self, name: str) -> Tool | None:
        """The tool of that name; None where there is none."""
        return self._tools.get(name)

    def names(self, *effects: Effect) -> frozenset[str]:
        """The names of the tools that have one of these effects."""
        return frozenset(tool.name for tool in self if tool.effect in effects)

    def to_openai(self) -> list[dict[str, Any]]:
        """All of them, as chat models take them."""
        return [tool.to_openai() for tool in self]

    def check(self, name: str, given: Mapping[str, Any]) -> PlannedCall:
        """A model's call, its arguments validated and in plain JSON; what was left out stays left out.

        Raises:
            InvalidCallError: there is no such tool, or it does not take these.
        """
        tool = self.get(name)
        if tool is None:
            raise InvalidCallError(f"there is no tool {name[:60]!r}")
        try:
            valid = tool.arguments.model_validate(dict(given))
        except ValidationError as error:
            places = sorted({".".join(str(part) for part in problem["loc"]) for problem in error.errors()})
            raise InvalidCallError(f"{name} does not take these arguments: {', '.join(places)}") from error
        return PlannedCall(name, valid.model_dump(mode="json", exclude_unset=True))


def _number(given: object) -> object:
    """A number as `agent.conversation.quantity` reads it; its bounds are the arguments' and the tool's to check."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        raise PydanticCustomError("no_number", "a quantity is a number or its text")
    number = read_number(given)
    if number is None or not number.is_finite():
        raise PydanticCustomError("invalid_quantity", "it is no finite number")
    return number


Text = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
Sku = Annotated[str, StringConstraints(min_length=1, max_length=256, strip_whitespace=True)]
Counted = Annotated[str, StringConstraints(max_length=60, strip_whitespace=True)]
Number = BeforeValidator(_number)


def asks_to_submit(message: str, *, asked: bool) -> bool:
    """Whether a message confirms an order: in so many words, or as a bare yes where we `asked` whether to confirm."""
    return is_explicit_confirmation(message) or (asked and is_assent(message))


def submission_refusal(state: ThreadState) -> str:
    """Why this turn may not submit the open order, in one stable word; empty where it may."""
    draft, work, offer = draft_of(state), state.get("work"), state.get("offer")
    if not draft["lines"]:
        return "empty_order"
    if work is None:
        return "not_confirmed"
    if work["confirm_order"]:
        return "" if work["confirm_order"] == draft["order_id"] else "not_confirmed"
    asked = offer is not None and offer["turn"] == state.get("turn", 0) - 1
    return "" if asks_to_submit(work["message"], asked=asked) else "not_confirmed"


def clearing_refusal(state: ThreadState) -> str:
    """Why this turn may not empty the open order; empty where the message asks for that."""
    message = state["work"]["message"] if "work" in state else ""
    asks = any(request.action is Action.CLEAR for request in read_message(message))
    return "" if asks else "not_confirmed"


def offer_refusal(state: ThreadState, order: Order) -> str:
    """Why the order, as it stands at this moment, is not the one that the person confirmed; empty where it is."""
    offer = state.get("offer")
    if offer is None or offer["order_id"] != order.order_id:
        return "not_shown"
    wanted = state["work"]["confirm_digest"] if "work" in state else ""
    return "" if order.digest == (wanted or offer["digest"]) else "changed"
