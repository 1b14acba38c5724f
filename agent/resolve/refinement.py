"""One search text out of two: the topic of the conversation, and what a follow-up adds to it or replaces in it.

`esmalte blanco 1 lt` refined by `en negro` is `esmalte 1 lt negro`: a colour replaces a colour, a size of one kind a
size of that kind. What the follow-up does not touch stays.
"""

from __future__ import annotations

import re
from typing import Final

from agent.resolve.matching import Slot, slots
from retrieval.analysis.stemming import stem

_COLOURS: Final = frozenset(
    stem(word)
    for word in [
        "blanco",
        "blanca",
        "negro",
        "negra",
        "rojo",
        "roja",
        "azul",
        "verde",
        "amarillo",
        "amarilla",
        "gris",
        "naranja",
        "anaranjado",
        "marron",
        "cafe",
        "beige",
        "crema",
        "rosa",
        "rosado",
        "morado",
        "violeta",
        "celeste",
        "plateado",
        "dorado",
        "transparente",
        "ocre",
        "oxido",
        "aluminio",
        "cromado",
        "cromada",
        "white",
        "black",
        "red",
        "blue",
        "green",
        "yellow",
        "grey",
        "gray",
        "orange",
        "brown",
        "clear",
        "silver",
        "gold",
        "pink",
        "purple",
        "preto",
        "branco",
        "vermelho",
        "cinza",
        "azules",
    ]
)
_ATTRIBUTE_START: Final = re.compile(
    r"(?:(?:el|la|los|las|lo|uno|una|unos|unas|un|the|ones?|o|algo|algun[oa]?s?)\s+)?(?:de|del|en|con|sin|para|p/|c/|s/|tipo|marca|color|cal|calibre|x|mas|que|in|with|without|for|grano|no\.?)\b"
    r"|(?:el|la|los|las|the|uno|una)\s+\S+(?:\s+ones?)?$|\W*\d"
)
_BASE: Final = re.compile(r"^[\d./x-]+")


def is_attribute(text: str) -> bool:
    """Whether a follow-up describes something already spoken of rather than names a thing: `de 3/4`, `en rojo`, `rojos`."""
    found = slots(text)
    return bool(_ATTRIBUTE_START.match(text)) or bool(found and (is_colour(found[0]) or found[0].is_size))


def is_colour(slot: Slot) -> bool:
    """Whether a word is a colour."""
    return stem(slot.word) in _COLOURS or slot.word in _COLOURS


def combine(topic: str, addition: str) -> str:
    """The topic's words that the addition does not replace, then the addition."""
    new = slots(addition)
    if not topic:
        return addition
    has_colour = any(is_colour(slot) for slot in new)
    new_bases = {base for slot in new for base in _bases(slot)}
    has_bare_number = any(slot.is_size and not slot.sizes for slot in new)
    new_terms = {term for slot in new for term in slot.terms}
    kept = []
    for word in topic.split():
        found = slots(word)
        if not found:
            continue
        slot = found[0]
        if slot.terms & new_terms or (has_colour and is_colour(slot)):
            continue
        kept.append(word)
    text = _without_sizes(" ".join(kept), new_bases) if new_bases or has_bare_number else " ".join(kept)
    return f"{text} {addition}".strip()


def head_of(topic: str) -> str:
    """The word that names what the topic is about: its first that is neither a size nor a colour."""
    for word in topic.split():
        found = slots(word)
        if found and not found[0].is_size and not is_colour(found[0]):
            return word
    return ""


def without_sizes(topic: str) -> str:
    """The topic's words that are no sizes: what stays the same of something larger."""
    return " ".join(word for word in topic.split() if (found := slots(word)) and not found[0].is_size)


def _bases(slot: Slot) -> set[str]:
    return {_BASE.sub("", size) for size in slot.sizes}


def _without_sizes(text: str, bases: set[str]) -> str:
    """A text without the sizes of these kinds; without any number where the new one says no kind."""
    sized = [slot for slot in slots(text) if slot.is_size and (not bases or _bases(slot) & bases or not slot.sizes)]
    if not sized:
        return text
    numbers = {term for slot in sized for term in slot.terms}
    words = text.split()
    kept = []
    for place, word in enumerate(words):
        own = {term for slot in slots(word) for term in slot.terms}
        is_unit = (
            place > 0 and any(character.isdigit() for character in words[place - 1]) and not slots(f"1 {word}")[1:]
        )
        if own & numbers or is_unit:
            continue
        kept.append(word)
    return " ".join(kept)
