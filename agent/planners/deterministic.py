"""The deterministic planner: read the message, resolve what it speaks of, then act on what was resolved.

It keeps no state: every step reads the message afresh and goes on from the turn's results, so any worker can take the
next step. A turn has at most three: resolve, act, end. A product that is not certain is never put into an order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from agent.conversation.products import plain
from agent.conversation.state import DraftLine, JsonValue, ToolResult
from agent.language.actions import Action
from agent.language.guards import is_tampering
from agent.language.quantities import SpokenQuantity
from agent.language.reading import Request, read_message
from agent.language.references import read_reference
from agent.ports import PlannedCall, PlannerStep, TurnContext
from agent.resolve.matching import coverage, slots, terms
from agent.tools.registry import asks_to_submit
from retrieval.analysis.folding import fold, fold_code


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


def act(requests: Sequence[Request], inquiries: Sequence[PlannedCall], context: TurnContext) -> list[PlannedCall]:
    """The calls that carry the requests out, in their order."""
    results = iter(context.results[: len(inquiries)])
    calls: list[PlannedCall] = []
    for request in requests:
        found = next(results, None) if inquiry_of(request, context) is not None else None
        calls.extend(_carry_out(request, found, context))
    return calls


def _carry_out(request: Request, found: ToolResult | None, context: TurnContext) -> list[PlannedCall]:  # noqa: PLR0911 - one return a case reads as the table that it is
    match request.action:
        case Action.ADD:
            return _add(request, found, context)
        case Action.CHANGE:
            return _change(request, context)
        case Action.REMOVE:
            return _remove(request, context)
        case Action.REPLACE:
            return _replace(request, found, context)
        case Action.SHOW:
            return [PlannedCall("order_show", {})]
        case Action.CLEAR:
            return [PlannedCall("order_clear", {})]
        case _:
            return []


def _add(request: Request, found: ToolResult | None, context: TurnContext) -> list[PlannedCall]:
    if found is None:
        line = target_line("", context)
        return [] if line is None else [_added(line["sku"], request.quantity)]
    sku = _resolved_sku(found)
    return [_added(sku, request.quantity)] if sku else []


def _change(request: Request, context: TurnContext) -> list[PlannedCall]:
    line = target_line(request.text, context)
    if request.quantity is None:
        return []
    if line is None:
        return [PlannedCall("order_update", {"sku": request.text or "?", "quantity": _count(request.quantity)})]
    if request.quantity.more:
        return [_added(line["sku"], request.quantity)]
    return [PlannedCall("order_update", {"sku": line["sku"], **_counted(request.quantity)})]


def _remove(request: Request, context: TurnContext) -> list[PlannedCall]:
    line = target_line(request.text, context)
    if line is None:
        return [PlannedCall("order_remove", {"sku": request.text or "?"})]
    return [_less(line, request.quantity)]


def _less(line: DraftLine, quantity: SpokenQuantity | None) -> PlannedCall:
    """A line taken out, or lessened where an amount was said that leaves something of it."""
    left = Decimal(line["quantity"]) - quantity.count if quantity is not None else Decimal(0)
    if left > 0:
        return PlannedCall("order_update", {"sku": line["sku"], "quantity": plain(left)})
    return PlannedCall("order_remove", {"sku": line["sku"]})


def _replace(request: Request, found: ToolResult | None, context: TurnContext) -> list[PlannedCall]:
    """One line out, another in, as many as there were unless a number was said."""
    sku = _resolved_sku(found) if found is not None else ""
    line = target_line(request.text, context)
    if not sku:
        return []
    if line is None:
        return [_added(sku, request.quantity)] if request.quantity is not None else []
    if line["sku"] == sku:
        return []
    quantity = _counted(request.quantity) if request.quantity is not None else {"quantity": line["quantity"]}
    return [PlannedCall("order_remove", {"sku": line["sku"]}), PlannedCall("order_add", {"sku": sku, **quantity})]


def _resolved_sku(found: ToolResult) -> str:
    if not found["ok"] or found["data"].get("status") != "resolved":
        return ""
    return str(found["data"].get("sku", ""))


def _added(sku: str, quantity: SpokenQuantity | None) -> PlannedCall:
    return PlannedCall("order_add", {"sku": sku, **(_counted(quantity) if quantity is not None else {"quantity": "1"})})


def _counted(quantity: SpokenQuantity) -> dict[str, JsonValue]:
    counted: dict[str, JsonValue] = {"quantity": _count(quantity)}
    if quantity.package:
        counted["package"] = quantity.package
    if quantity.lot:
        counted["lot"] = quantity.lot
    elif quantity.pack_size:
        counted["lot"] = str(quantity.pack_size)
    return counted


def _count(quantity: SpokenQuantity) -> str:
    return plain(quantity.count)


_ENOUGH = 0.5
"""Share of a phrase's words that a line has to hold to be meant."""


def target_line(text: str, context: TurnContext) -> DraftLine | None:
    """The line that a phrase means; None where none does, or several do equally well."""
    lines = context.lines
    if not lines:
        return None
    by_code = _by_code(text, lines)
    if by_code is not None:
        return by_code
    reference = read_reference(fold(text))
    if reference.ordinal:
        place = reference.ordinal - 1 if reference.ordinal > 0 else len(lines) + reference.ordinal
        return lines[place] if 0 <= place < len(lines) else None
    if not reference.rest:
        return _last_spoken_of(context)
    return _by_words(reference.rest, context)


def _by_code(text: str, lines: tuple[DraftLine, ...]) -> DraftLine | None:
    codes = {fold_code(word) for word in text.split()}
    return next((line for line in lines if fold_code(line["sku"]) in codes), None)


def _last_spoken_of(context: TurnContext) -> DraftLine | None:
    by_sku = {line["sku"]: line for line in context.lines}
    spoken = next((by_sku[sku] for sku in context.focus if sku in by_sku), None)
    return spoken or context.lines[-1]


def _by_words(text: str, context: TurnContext) -> DraftLine | None:
    request = slots(text)
    scored = [(coverage(request, terms(line["title"], "", line["unit"], line["sku"])), line) for line in context.lines]
    best = max(score for score, _ in scored)
    if best < _ENOUGH:
        return None
    equals = [line for score, line in scored if score == best]
    if len(equals) == 1:
        return equals[0]
    spoken = _last_spoken_of(context)
    return spoken if spoken in equals else equals[-1]


NAME: Final = "deterministic"


class DeterministicPlanner:
    """`Planner` by rules."""

    @property
    def name(self) -> str:
        """`deterministic`."""
        return NAME

    @property
    def reads_hints(self) -> bool:
        """Rules know no catalogue."""
        return False

    async def plan(self, context: TurnContext) -> PlannerStep:
        """The next step of the turn."""
        return plan_step(context)


def plan_step(context: TurnContext) -> PlannerStep:
    """The next step, as a pure function: what to look up, then what to do, then the end."""
    if asks_to_submit(context.message, asked=bool(context.lines) and context.offered):
        return _ended() if context.results else _calls(PlannedCall("order_submit", {}))
    if is_tampering(context.message):
        return PlannerStep(note="refused", planner=NAME)
    requests = meant(read_message(context.message), context)
    if not requests:
        return PlannerStep(note="" if context.results else "small_talk", planner=NAME)
    inquiries = inquire(requests, context)
    done = len(context.results)
    if done < len(inquiries):
        return _calls(*inquiries[done:])
    actions = act(requests, inquiries, context)
    if done < len(inquiries) + len(actions):
        return _calls(*actions[done - len(inquiries) :])
    return _ended()


def meant(requests: Sequence[Request], context: TurnContext) -> list[Request]:
    """The requests that want something: talk beside them is let go, and a bare SKU-shaped number is a search."""
    wanted = [request for request in requests if request.action is not Action.CHAT]
    return [_told_apart(request, context) for request in wanted]


def _told_apart(request: Request, context: TurnContext) -> Request:
    """A lone long number is a code unless the conversation has something to count."""
    quantity = request.quantity
    if request.action is Action.ADD and not request.text and quantity is not None and quantity.count >= 1000:
        spoken = context.message.strip()
        if spoken.isdigit():
            return Request(Action.NONE, spoken)
    if request.action is Action.WANT and quantity is not None and not quantity.indefinite:
        return replace(request, action=Action.ADD, committed=True)
    return request


def _calls(*calls: PlannedCall) -> PlannerStep:
    return PlannerStep(calls=calls, planner=NAME)


def _ended() -> PlannerStep:
    return PlannerStep(planner=NAME)
