"""A message as requests: clauses cut apart, each with what it wants, how much, and of what.

Clauses lean on each other: a bare number belongs to the thing before it (`la de pvc, 10`), a thing without a verb to
the verb before it (`ponme 3 codos y 2 tees`), a correction to the request that it corrects (`dame 20, mejor 25`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from agent.language.actions import BY, INSTEAD, REFUSED_AFTER, STARTS_ACTION, Action, Read, read_action, strip_fillers
from agent.language.numbers import COUNTS
from agent.language.quantities import (
    PACKAGES,
    Quantified,
    SpokenQuantity,
    is_count_word,
    is_only_quantity,
    split_quantity,
)
from agent.language.references import bare, read_reference
from retrieval.analysis.folding import fold

MAX_REQUESTS: Final = 20


@dataclass(frozen=True, slots=True)
class Request:
    """One thing that a message wants.

    `text` is what it speaks of, folded, without verb and quantity; `other` the second thing of a replacement.
    `committed` says that the words put something into the order, rather than ask for it.
    """

    action: Action
    text: str = ""
    quantity: SpokenQuantity | None = None
    other: str = ""
    committed: bool = False


_BREAKS: Final = re.compile(r"[;!?¿¡\n]+|[.,](?=\s|$)(?<!\d[.,](?=\d))|\s-\s")
_ABBREVIATION: Final = re.compile(r"(?<![^\W\d_])[^\W\d_]{1,5}$")
_LONGEST_ABBREVIATION: Final = 5
_AHEAD: Final = 160
"""Characters behind a joint that say whether something of its own begins there. All of them, from each joint, would be too many."""
_LAST_WORDS: Final = 5
"""Words at the end of a message that may be a quantity."""
_SOMETHING: Final = re.compile(r"\S")
_AND: Final = re.compile(r"\s+(?:y|e|and|plus)\s+(?:tambien\s+|also\s+|ademas\s+)?(?P<next>\S+(?:\s+\S+)?)")
_BUT: Final = re.compile(r"\s+(?=(?:pero|but|mejor\s+\d|y\s+mejor|y\s+tambien|and\s+also)\b)")
_TO_NUMBER: Final = re.compile(r"(?:^|\s)(?:a|en|to|at|por|sean?|be|de)\s+(?P<amount>\S+(?:\s+\S+){0,3})$")
_CORRECTION: Final = re.compile(
    r"^(?:no[,\s]+)?(?:mejor|rather|digo|perdon|better|actually|quise decir|o sea|i mean|make it|que sean?)\b"
)
_SIZES: Final = frozenset({"media", "medio", "half", "cuarto", "cuartos"})


def read_message(message: str) -> tuple[Request, ...]:
    """The requests of a message, in order; at most `MAX_REQUESTS`."""
    requests: list[Request] = []
    for clause in clauses(fold(message)):
        _take(clause, requests)
        if len(requests) >= MAX_REQUESTS:
            break
    return tuple(requests[:MAX_REQUESTS])


def clauses(folded: str) -> list[str]:
    """Cut a folded message at punctuation, at `pero`, and at an `y` that begins something of its own."""
    found: list[str] = []
    for sentence in _sentences(folded):
        for half in _BUT.split(sentence):
            found.extend(_cut_at_and(half.strip()))
    return [clause for clause in found if clause.strip(" ,.")]


def _sentences(folded: str) -> list[str]:
    """Cut at punctuation, but for the point of an abbreviation: `esmalte sat. blanco`."""
    sentences: list[str] = []
    start = 0
    for found in _BREAKS.finditer(folded):
        if found[0] == "." and _abbreviates(folded, start, found.start()):
            after = _ahead(folded, found.end()).strip()
            if after and read_action(after).action is Action.NONE:
                continue
        sentences.append(folded[start : found.start()])
        start = found.end()
    return [*sentences, folded[start:]]


def _abbreviates(folded: str, start: int, point: int) -> bool:
    """Whether a word that is short enough to be an abbreviation stands before the point."""
    return _ABBREVIATION.search(folded, max(start, point - _LONGEST_ABBREVIATION), point) is not None


def _ahead(text: str, place: int) -> str:
    """What follows a place, as far as it is looked at there: whole words, where there are several."""
    ahead = text[place : place + _AHEAD]
    return ahead if place + _AHEAD >= len(text) else ahead.rpartition(" ")[0] or ahead


def _cut_at_and(text: str) -> list[str]:
    pieces: list[str] = []
    start = 0
    last = tuple(text[-_AHEAD:].split()[-_LAST_WORDS:])
    for joint in _AND.finditer(text):
        if _begins_anew(text, start, joint, last):
            pieces.append(text[start : joint.start()])
            start = joint.start("next")
    pieces.append(text[start:])
    return pieces


def _begins_anew(text: str, start: int, joint: re.Match[str], last: tuple[str, ...]) -> bool:
    """Whether what follows an `y` stands by itself: an action, or a quantity of a thing (`y 5 perfacinta`).

    What came before it begins at `start`; `last` are the last words of the text.
    """
    place = joint.start("next")
    ahead = _ahead(text, place)
    words = tuple(ahead.split())
    if words[0] in _SIZES or re.match(r"\d+/\d+", words[0]):
        return False
    if STARTS_ACTION.match(strip_fillers(ahead)):
        return True
    if _goes_on_counting(text[max(start, joint.start() - _AHEAD) : joint.start()], words[0]):
        return False
    if is_count_word(words[0]) and len(words) > 1:
        quantified = split_quantity(words if place + _AHEAD >= len(text) else words + last)
        return quantified.quantity is not None and _SOMETHING.search(text, start, joint.start()) is not None
    return bool(re.match(r"(?:otr[oa]s?|another)\s", ahead))


def _goes_on_counting(before: str, word: str) -> bool:
    """`treinta y cinco`: one number, not two things."""
    last_word = before.split()[-1:] or [""]
    return COUNTS.get(last_word[0], 0) >= 20 and 0 < COUNTS.get(word, 0) < 10


def _take(clause: str, requests: list[Request]) -> None:
    """Read one clause into the list, or into the request that it belongs to."""
    refused = REFUSED_AFTER.search(clause)
    if refused and refused.start() > 0:
        _take_removal(strip_fillers(clause[: refused.start()]), requests)
        return
    read = read_action(clause)
    if read.action in _WHOLE:
        requests.append(Request(read.action, read.rest))
    elif read.action is Action.REMOVE:
        _take_removal(read.rest, requests)
    elif INSTEAD.search(clause):
        _take_instead(clause, requests)
    else:
        _take_thing(read, correcting=bool(_CORRECTION.match(clause)), requests=requests)


def _take_thing(read: Read, *, correcting: bool, requests: list[Request]) -> None:
    """A clause about products: how many of what, more of what was said before, or a change of it."""
    words = tuple(read.rest.split())
    if is_only_quantity(words) and _counts_previous(read, words, correcting=correcting, requests=requests):
        return
    corrects = correcting and read.action in {Action.NONE, Action.ADD} and is_only_quantity(words)
    if read.action is Action.CHANGE or corrects:
        _take_change(read.rest, requests)
        return
    quantified = _quantified(words, ordering=read.action in {Action.ADD, Action.WANT})
    text = " ".join(quantified.words)
    counted = read.action in {Action.WANT, Action.NONE} and quantified.quantity is not None
    if read.action is Action.ADD or counted:
        _take_addition(read.action, text, quantified.quantity, requests)
    elif read.action is not Action.NONE or not _goes_with_previous(text, requests):
        requests.append(Request(read.action, text if read.action is Action.WANT else read.rest))


def _counts_previous(read: Read, words: tuple[str, ...], *, correcting: bool, requests: list[Request]) -> bool:
    """A bare quantity belongs to the thing before it: `la de pvc, 10`."""
    previous = requests[-1] if requests else None
    if previous is None or previous.action not in _COUNTED:
        return False
    adds = read.action is Action.ADD and not previous.quantity
    if not adds and read.action not in {Action.NONE, Action.WANT, Action.CHANGE}:
        return False
    action = _counted_action(previous, read.action, correcting=correcting)
    requests[-1] = replace(previous, quantity=split_quantity(words).quantity, action=action, committed=True)
    return True


def _goes_with_previous(text: str, requests: list[Request]) -> bool:
    """Whether a clause without a verb was taken into, or along with, the request before it."""
    previous = requests[-1] if requests else None
    if previous is None or not text:
        return False
    if previous.action is Action.REMOVE and not previous.text:
        requests[-1] = replace(previous, text=text)
        return True
    if previous.action in _DESCRIBED and previous.text and _describes_further(text):
        requests[-1] = replace(previous, text=f"{previous.text} {text}")
        return True
    if previous.action is Action.ADD:
        requests.append(Request(Action.ADD, text, None, committed=previous.committed))
        return True
    return False


_WHOLE: Final = frozenset({Action.CHAT, Action.CLEAR, Action.SHOW})
"""Actions that need nothing of the rest of their clause."""
_DESCRIBED: Final = frozenset({Action.ADD, Action.WANT, Action.NONE, Action.SEARCH})
_COUNTED: Final = frozenset({Action.ADD, Action.WANT, Action.NONE, Action.SEARCH, Action.CHANGE})


def _counted_action(previous: Request, action: Action, *, correcting: bool) -> Action:
    if previous.action is Action.CHANGE or (correcting and previous.action is Action.NONE):
        return Action.CHANGE
    return Action.ADD if action is not Action.CHANGE or previous.action is not Action.NONE else Action.CHANGE


def _take_addition(action: Action, text: str, quantity: SpokenQuantity | None, requests: list[Request]) -> None:
    previous = requests[-1] if requests else None
    reference = read_reference(text)
    if (
        previous is not None
        and reference.is_empty
        and previous.action in {Action.NONE, Action.SEARCH, Action.WANT, Action.PRICE, Action.STOCK}
        and previous.text
    ):
        # `el segundo, dame 2`: the thing stands before the verb.
        requests[-1] = Request(Action.ADD, previous.text, quantity, committed=True)
        return
    if (
        action is Action.WANT
        and (quantity is None or quantity.indefinite)
        and not reference.points
        and not reference.extreme
    ):
        requests.append(Request(Action.WANT, text, quantity))
        return
    listed = previous is not None and previous.action is Action.ADD and previous.committed
    if action is Action.NONE and quantity is not None and quantity.indefinite and not quantity.more and not listed:
        # `un martillo`, `uno mas grande`: nobody said that it goes into the order; `20 codos y un taladro` did.
        requests.append(Request(Action.WANT, text, quantity))
        return
    requests.append(Request(Action.ADD, text, quantity, committed=True))


def _take_change(rest: str, requests: list[Request]) -> None:
    """`a 15`, `la primera linea a 80`, `el martillo por un alicate`; a change of what this message adds changes that."""
    words = tuple(rest.split())
    previous = requests[-1] if requests else None
    swapped = BY.search(rest)
    if swapped and not is_only_quantity(tuple(rest[swapped.end() :].split())) and rest[swapped.end() :].strip():
        after = split_quantity(tuple(strip_fillers(rest[swapped.end() :]).split()))
        given = after.quantity if after.quantity is not None and not after.quantity.indefinite else None
        requests.append(
            Request(Action.REPLACE, rest[: swapped.start()].strip(), given, " ".join(after.words), committed=True)
        )
        return
    target, quantity = "", None
    if is_only_quantity(words):
        quantity = split_quantity(words).quantity
    else:
        found = _TO_NUMBER.search(rest)
        if found and is_only_quantity(tuple(found["amount"].split())):
            quantity = split_quantity(tuple(found["amount"].split())).quantity
            target = rest[: found.start()]
        else:
            quantified = split_quantity(words)
            quantity, target = quantified.quantity, " ".join(quantified.words)
    target = re.sub(r"^(?:la cantidad|cantidad|quantity|the quantity)(?: de(?:l)?| of)?\b", "", target.strip()).strip()
    if previous is not None and previous.action in {Action.ADD, Action.CHANGE} and quantity is not None and not target:
        requests[-1] = replace(previous, quantity=quantity)
        return
    if (
        previous is not None
        and previous.action is Action.NONE
        and previous.text
        and quantity is not None
        and not target
    ):
        requests[-1] = Request(Action.CHANGE, previous.text, quantity, committed=True)
        return
    requests.append(Request(Action.CHANGE, target, quantity, committed=quantity is not None))


def _take_removal(rest: str, requests: list[Request]) -> None:
    previous = requests[-1] if requests else None
    quantified = split_quantity(tuple(rest.split()))
    quantity = quantified.quantity
    if quantity is not None and quantity.indefinite:
        quantity = replace(quantity, indefinite=False)
    text = " ".join(quantified.words)
    if previous is not None and previous.action is Action.REMOVE and not previous.text and previous.quantity is None:
        requests[-1] = Request(Action.REMOVE, text, quantity, committed=True)
        return
    requests.append(Request(Action.REMOVE, text, quantity, committed=True))


def _take_instead(clause: str, requests: list[Request]) -> None:
    """`en vez del rojo dame 3 del azul`, `dame 15 en vez de 10`, `el azul en vez del rojo`."""
    found = INSTEAD.search(clause)
    assert found is not None
    before, after = strip_fillers(clause[: found.start()]), clause[found.end() :].strip()
    verb = re.search(r"\s(?=(?:dame|deme|ponme|pon|quiero|mejor|give|put|agrega\w*|mandame)\b)", after)
    if not before and verb:
        old, new = after[: verb.start()].strip(), after[verb.end() :]
    else:
        old, new = after, before
    read = read_action(new) if new else None
    given = split_quantity(tuple((read.rest if read else "").split()))
    if is_only_quantity(tuple(old.split())) and given.quantity is not None:
        requests.append(Request(Action.CHANGE, " ".join(given.words), given.quantity, committed=True))
        return
    quantity = given.quantity if given.quantity is not None and not given.quantity.indefinite else None
    requests.append(Request(Action.REPLACE, bare(old), quantity, " ".join(given.words), committed=True))


def _quantified(words: tuple[str, ...], *, ordering: bool) -> Quantified:
    """The quantity of a clause; a bare number after what points at something counts it too: `de ese 2`, `el primero 3`."""
    quantified = split_quantity(words, ordering=ordering)
    if quantified.quantity is None and len(words) > 1 and is_only_quantity(words[-1:]):
        reference = read_reference(" ".join(words[:-1]))
        if reference.points and not reference.rest:
            return Quantified(words[:-1], split_quantity(words[-1:]).quantity)
    return quantified


def _describes_further(text: str) -> bool:
    """Whether a clause without verb only adds to the thing before it: `de 3/4`, `con rosca`, `rojo`."""
    return bool(re.match(r"(?:de|del|con|en|sin|para|que|with|in|for|of|color)\b", text)) or (
        len(text.split()) == 1 and text not in PACKAGES
    )
