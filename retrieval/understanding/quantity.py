"""The quantity of an order-like query: `dame 3 discos de corte` asks for discs, three of them. Pure.

A number counts things only where a word for a thing follows it: before a unit of size (`20 amp`), a fraction, another
number or a multiplication sign it is a part of the product's name. Weights, lengths and volumes count where a thing
follows them (`2 kg electrodos`, `20 metros de cable`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from retrieval.analysis.folding import fold
from retrieval.analysis.measures import UNITS
from retrieval.analysis.numerals import NUMERALS

_COUNTS: Final = {"un": 1, "una": 1, "uno": 1, "one": 1} | {
    word: int(number) for word, number in NUMERALS.items() if number.isdigit()
}
_PIECES: Final = (
    r"unidades|unidad|unids?|unds?|uds?|piezas?|pzas?|pzs?|docenas?|decenas?|cientos?|millar(?:es)?|pares|par"
    r"|cajas?|cajitas?|bolsas?|paquetes?|rollos?|blisters?|pieces?|pcs|boxes|box|packs?|rolls?|bags?|pairs?"
)
_PACKAGES: Final = (
    _PIECES
    + r"|juegos?|latas?|sacos?|botes?|botellas?|baldes?|cubetas?|tambores|tarros?|potes?|frascos?|galones|galon|gal"
    r"|litros?|lts?|kilos?|kgs?|quintal(?:es)?|metros?|mts?|gallons?|feet|cans?"
)
_ASKING: Final = re.compile(
    r"^(?:(?:hola|buenas|buenos dias|buenas tardes|por favor|porfa|please)[,!.]?\s+)*"
    r"(?:(?:dame|deme|denme|me das?|me dan|me puedes? dar|quiero|quisiera|queremos|necesito|necesitamos|ponme|mandame"
    r"|envia(?:me)?|agrega(?:me)?|anota(?:me)?|cotiza(?:r|me)?|vende(?:me)?|busco|ando buscando|estoy buscando|tienen|tienes"
    r"|tenes|tiene|hay|precio de|cuanto (?:cuesta|vale|sale)|i need|i want|give me|looking for|do you have)\s+)+"
    r"(?:(?:un|una|unos|unas|el|la|los|las|a|some)\s+(?=\D))?"
)
_LEADING: Final = re.compile(
    rf"^(?P<count>\d{{1,5}}|{'|'.join(_COUNTS)})(?:\s+|(?=k(?:g|ilo)))(?:(?P<package>{_PACKAGES})\s+(?:de\s+)?)?"
    r"(?P<thing>[^\W\d_]{3,}.*)$"
)
# Read from the end, where the words are known: a pattern that looks for them from every place takes cubic time.
_PACKAGE: Final = re.compile(_PIECES)
_COUNT_AT_END: Final = re.compile(r"[\s,](?P<count>\d{1,5})$")
_LONGEST_COUNT: Final = 5
_THING: Final = re.compile(r"[^\W\d_]{3}")
_FIRST_WORD: Final = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Quantity:
    """How many, and of which package or measure (empty: of the thing itself)."""

    count: int
    package: str = ""


@dataclass(frozen=True, slots=True)
class Ordered:
    """The thing that is asked for, folded where something was taken away, and how much of it."""

    text: str
    quantity: Quantity | None = None


def read_quantity(text: str) -> Ordered:
    """Take asking words and the quantity off a query; a query without either is given back as it is."""
    folded = fold(text)
    asked = _ASKING.sub("", folded)
    leading = _LEADING.match(asked)
    if leading is not None and not _is_size(leading["thing"], leading["package"]):
        count = int(leading["count"]) if leading["count"].isdigit() else _COUNTS[leading["count"]]
        if count:
            return Ordered(leading["thing"], Quantity(count, leading["package"] or ""))
    trailing = _trailing(asked)
    if trailing is not None:
        return trailing
    return Ordered(asked) if asked != folded and asked else Ordered(text)


def _trailing(asked: str) -> Ordered | None:
    """A thing and how many packages of it: `tubo pvc, 3 unidades`."""
    before, _, package = asked.rpartition(" ")
    count = _COUNT_AT_END.search(before, max(0, len(before) - _LONGEST_COUNT - 1))
    if count is None or not _PACKAGE.fullmatch(package):
        return None
    thing = before[: count.start()].rstrip(" ,")
    if not int(count["count"]) or not _THING.search(thing):
        return None
    return Ordered(thing, Quantity(int(count["count"]), package))


def _is_size(thing: str, package: str | None) -> bool:
    """Whether the number before this belongs to a size: `20 amp breaker`, `115 mm disco`."""
    first = _FIRST_WORD.match(thing)
    return package is None and first is not None and first[0] in UNITS
