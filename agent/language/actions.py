"""What a clause wants, told by its verb, and what is left of it without it. The phrases are in `order_phrases` and `talk_phrases`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from agent.language.order_phrases import (
    ADDING,
    CHANGING,
    CLEARING,
    GIVING,
    INSTEAD_OF,
    REMOVED_AFTER,
    REMOVING,
    SHOWING,
    WANTING,
    any_of,
)
from agent.language.talk_phrases import (
    CHATTING,
    GOING_BACK,
    LEADING_FILLERS,
    PRICING,
    SEARCHING,
    STOCKING,
    TRAILING_FILLERS,
)


class Action(StrEnum):
    """What a clause asks for."""

    ADD = "add"
    WANT = "want"
    """Asks for something without saying that it goes into the order: `necesito un taladro`."""
    CHANGE = "change"
    REMOVE = "remove"
    REPLACE = "replace"
    SHOW = "show"
    CLEAR = "clear"
    PRICE = "price"
    STOCK = "stock"
    SEARCH = "search"
    BACK = "back"
    CHAT = "chat"
    NONE = "none"


_LEADING_FILLER: Final = re.compile(rf"^(?:{any_of(LEADING_FILLERS)}\b[\s,.!?:;]*)+")
# Read from the end, a few words at a time: searched for from the front, each of them would be followed to the end.
_TRAILING_FILLER: Final = re.compile(any_of(TRAILING_FILLERS))
_MOST_WORDS: Final = 1 + max(phrase.count(" ") for phrase in TRAILING_FILLERS)
_WORD: Final = re.compile(r"[^\s,]+")


@dataclass(frozen=True, slots=True)
class Read:
    """What a clause wants, and the clause without the words that said so."""

    action: Action
    rest: str


_PATTERNS: Final = (
    (Action.CLEAR, re.compile(rf"^{any_of(CLEARING)}")),
    (Action.SHOW, re.compile(rf"^{any_of(SHOWING)}")),
    (Action.CHAT, re.compile(rf"^{any_of(CHATTING)}(?:[\s,.!?]+{any_of(CHATTING)})*$")),
    (Action.BACK, re.compile(rf"^{any_of(GOING_BACK)}")),
    (Action.PRICE, re.compile(rf"^{any_of(PRICING)}(?=\W|$)")),
    (Action.STOCK, re.compile(rf"^{any_of(STOCKING)}(?=\W|$)")),
    (Action.REMOVE, re.compile(rf"^{any_of(REMOVING)}(?=\W|$)")),
    (Action.CHANGE, re.compile(rf"^{any_of(CHANGING)}(?=\W|$)")),
    (Action.ADD, re.compile(rf"^{any_of(ADDING)}(?=\W|$)")),
    (Action.ADD, re.compile(rf"^{any_of(GIVING)}(?=\W|$)")),
    (Action.WANT, re.compile(rf"^{any_of(WANTING)}(?=\W|$)")),
    (Action.SEARCH, re.compile(rf"^{any_of(SEARCHING)}(?=\W|$)")),
)
_INNER: Final = (
    (Action.REMOVE, re.compile(rf"\b{any_of(REMOVED_AFTER)}\b")),
    (Action.PRICE, re.compile(rf"\b{any_of(PRICING)}(?=\W|$)")),
    (Action.STOCK, re.compile(rf"\b{any_of(STOCKING)}(?=\W|$)")),
    (
        Action.CHANGE,
        re.compile(r"\b(?:que sean?|make (?:it|that|them)|dej(?:a|e)l[oa]s? en|cambial[oa]s? a|ponl[ea]s? mejor)\b"),
    ),
    (Action.ADD, re.compile(rf"\b{any_of(ADDING + GIVING)}(?=\s)")),
    (Action.REMOVE, re.compile(rf"\b{any_of(REMOVING)}$")),
)
STARTS_ACTION: Final = re.compile(
    any_of(CLEARING + ADDING + GIVING + REMOVING + CHANGING + WANTING + PRICING + GOING_BACK + SEARCHING) + r"(?=\W|$)"
)
REFUSED_AFTER: Final = re.compile(rf"\s+{any_of(REMOVED_AFTER)}$")
"""At the end of a clause: the thing before it is not wanted any more."""
INSTEAD: Final = re.compile(rf"\b{any_of(INSTEAD_OF)}\b")
BY: Final = re.compile(r"\b(?:por|for|with|con)\b")


def strip_fillers(clause: str) -> str:
    """A clause without words that only carry the talk: `bueno`, `che`, `por favor`, `también`; never all of it."""
    text = clause.strip(" ,.;:!?")
    shorter = _LEADING_FILLER.sub("", text).strip(" ,.;:!?")
    return _without_trailing_fillers(shorter).strip(" ,.;:!?")


def _without_trailing_fillers(text: str) -> str:
    """The text up to where nothing but fillers follow, of which the first has something before it."""
    words = [found.span() for found in _WORD.finditer(text)]
    begins = len(words)
    carries = [False] * len(words) + [True]
    for first in range(len(words) - 1, 0, -1):
        if begins - first > _MOST_WORDS:
            break
        carries[first] = any(
            carries[after] and _TRAILING_FILLER.fullmatch(text, words[first][0], words[after - 1][1])
            for after in range(first + 1, min(first + _MOST_WORDS, len(words)) + 1)
        )
        if carries[first]:
            begins = first
    return text if begins == len(words) else text[: words[begins - 1][1]]


def read_action(clause: str) -> Read:
    """What a folded clause wants. The verb stands first, or inside after a reference (`de ese ponme 5`)."""
    text = strip_fillers(clause)
    if not text:
        return Read(Action.CHAT, "")
    for action, pattern in _PATTERNS:
        found = pattern.match(text)
        if found and not _misread(action, text, found):
            return Read(action, _remainder(action, text, found))
    for action, pattern in _INNER:
        inner = pattern.search(text)
        if inner:
            return Read(action, " ".join((text[: inner.start()] + " " + text[inner.end() :]).split()))
    return Read(Action.NONE, text)


def _remainder(action: Action, text: str, found: re.Match[str]) -> str:
    if action is Action.SHOW:
        return text
    return strip_fillers(text[found.end() :]) if found.end() < len(text) else ""


def _misread(action: Action, text: str, found: re.Match[str]) -> bool:
    """A match that means something else in this place."""
    verb, rest = found[0], text[found.end() :].strip()
    if action is Action.REMOVE and verb.startswith("sac") and verb in {"saco", "sacos"}:
        return True
    if action is Action.ADD and verb in {"carga", "mete"}:
        return not rest
    if action is Action.CHANGE and verb in {"sube", "baja", "ser"} and not rest:
        return True
    if action is Action.STOCK:
        return verb.startswith("cuant") and not re.search(r"\w", rest)
    return (
        action is Action.CHANGE
        and verb in {"solo", "solamente", "only", "nomas"}
        and not re.match(r"\d|un|una|dos|one|two", rest)
    )
