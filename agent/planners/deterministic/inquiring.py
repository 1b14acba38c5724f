"""First half of a turn: what has to be looked up before anything can be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agent.language.actions import Action
from agent.language.reading import Request
from agent.language.references import read_reference
from agent.ports import PlannedCall, TurnContext
from agent.resolve.matching import slots

SEARCHING: Final = frozenset({Action.SEARCH, Action.NONE, Action.WANT, Action.BACK})


def inquire(requests: Sequence[Request], context: TurnContext) -> list[PlannedCall]:
    """The calls that look up what the requests speak of; `inquiry_of` pairs them with the requests."""
    return [call for request in requests if (call := inquiry_of(request, context)) is not None]


def inquiry_of(request: Request, context: TurnContext) -> PlannedCall | None:
    """The look-up of one request; None where the order itself has the answer."""
    match request.action:
        case Action.ADD:
            return None if adds_to_line(request, context) else _resolve(request.text)
        case Action.PRICE | Action.STOCK:
            return _resolve(request.text)
        case Action.REPLACE:
            return _resolve(request.other)
        case Action.SEARCH | Action.NONE | Action.WANT | Action.BACK:
            return _look_up(request)
        case _:
            return None


def adds_to_line(request: Request, context: TurnContext) -> bool:
    """Whether "two more" means the line that was last spoken of rather than a product to look up."""
    if request.quantity is None or not request.quantity.more or not context.lines:
        return False
    reference = read_reference(request.text)
    return not reference.rest and not reference.ordinal and not reference.extreme and not reference.compared


def _look_up(request: Request) -> PlannedCall | None:
    """A reference to what was shown is resolved; anything else is searched."""
    reference = read_reference(request.text)
    if reference.ordinal or reference.extreme or reference.compared or (reference.that and not reference.rest):
        return _resolve(request.text)
    query = request.text if request.action is Action.NONE else reference.rest or request.text
    if not slots(query):
        return None
    return PlannedCall("catalog_search", {"query": query})


def _resolve(text: str) -> PlannedCall:
    return PlannedCall("follow_up_resolve", {"reference": text})
