"""Which line of the order a phrase means: its place, its code, its words, or the one that was last spoken of."""

from __future__ import annotations

from agent.conversation.state import DraftLine
from agent.language.references import read_reference
from agent.ports import TurnContext
from agent.resolve.matching import coverage, slots, terms
from retrieval.analysis.folding import fold, fold_code

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
