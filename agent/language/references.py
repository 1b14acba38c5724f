"""What a person points at: "el segundo", "ese", "la más barata", "uno más grande", "la primera línea del pedido".

A reference is read off a phrase; what is left of the phrase describes the thing (`la truper de 3`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ORDINALS: Final[dict[str, int]] = {
    word: number
    for number, words in {
        1: "primero primera primer first 1ro 1ra 1er 1st primeiro primeira",
        2: "segundo segunda second 2do 2da 2nd",
        3: "tercero tercera tercer third 3ro 3ra 3er 3rd terceiro terceira",
        4: "cuarto cuarta fourth 4to 4ta 4th quarto quarta",
        5: "quinto quinta fifth 5to 5ta 5th",
        6: "sexto sexta sixth 6to 6ta",
        7: "septimo septima seventh 7mo 7ma",
        8: "octavo octava eighth 8vo 8va",
        9: "noveno novena ninth 9no 9na",
        10: "decimo decima tenth 10mo 10ma",
        -1: "ultimo ultima last",
        -2: "penultimo penultima",
    }.items()
    for word in words.split()
}


class Extreme(StrEnum):
    """An end of a scale that products are compared on."""

    CHEAPEST = "cheapest"
    DEAREST = "dearest"
    LARGEST = "largest"
    SMALLEST = "smallest"


_SCALES: Final = {
    Extreme.CHEAPEST: r"barat[oa]s?|economic[oa]s?|comod[oa]s?|en cuenta|cheap|affordable|barat[oa]s?",
    Extreme.DEAREST: r"car[oa]s?|costos[oa]s?|expensive|pricey",
    Extreme.LARGEST: r"grandes?|larg[oa]s?|grues[oa]s?|anch[oa]s?|pesad[oa]s?|potentes?|fuertes?|alt[oa]s?|maiores|big|large|long"
    r"|heavy|powerful|thick|wide",
    Extreme.SMALLEST: r"chic[oa]s?|chiquit[oa]s?|pequen[oa]s?|cort[oa]s?|delgad[oa]s?|fin[oa]s?|angost[oa]s?|livian[oa]s?|liger[oa]s?"
    r"|small|short|thin|light|narrow",
}
_ONE_WORD_EXTREMES: Final = {
    Extreme.CHEAPEST: r"cheapest|baratisim[oa]s?|mas en cuenta|menor precio|lowest price|least expensive",
    Extreme.DEAREST: r"priciest|dearest|mayor precio|highest price",
    Extreme.LARGEST: r"biggest|largest|longest|thickest|widest|heaviest|maior",
    Extreme.SMALLEST: r"smallest|shortest|thinnest|lightest|narrowest|menor",
}
_ONE_WORD_COMPARED: Final = {
    Extreme.CHEAPEST: r"cheaper|less expensive|menos car[oa]s?",
    Extreme.DEAREST: r"pricier|menos barat[oa]s?",
    Extreme.LARGEST: r"bigger|larger|longer|thicker|wider|heavier|mayor",
    Extreme.SMALLEST: r"smaller|shorter|thinner|lighter|narrower|menos grandes?",
}
_ONE: Final = (
    r"(?:un|una|uno|unos|unas|algo|otr[oa]s?|algun[oa]?|one|something|another|any|hay|tienes?|tenes|tienen|um|uma)"
)
_MORE: Final = r"(?:mas|most|more|mais)"


def _scale(patterns: dict[Extreme, str], wrap: str) -> list[tuple[re.Pattern[str], Extreme]]:
    return [(re.compile(wrap.format(pattern)), extreme) for extreme, pattern in patterns.items()]


_COMPARED: Final = [
    *_scale(_SCALES, rf"\b{_ONE}\s+{_MORE}\s+(?:{{}})\b"),
    *_scale(_SCALES, rf"^{_MORE}\s+(?:{{}})$"),
    *_scale(_ONE_WORD_COMPARED, rf"\b(?:(?:{_ONE}|the)\s+)?(?:{{}})(?:\s+(?:one|ones))?\b"),
]
_EXTREME: Final = [
    *_scale(
        _SCALES,
        rf"\b(?:(?:el|la|los|las|lo|the|o|a)\s+)?{_MORE}\s+(?:{{}})(?:\s+(?:one|ones))?\b(?:\s+(?:de todos|de todas|que tengas?|que haya))?",
    ),
    *_scale(_ONE_WORD_EXTREMES, r"\b(?:(?:el|la|los|las|the|o|a|de)\s+)?(?:{})(?:\s+(?:one|ones))?\b"),
]
_ORDER_LINE: Final = re.compile(
    r"\b(?:(?:linea|renglon|item|articulo|line|partida)\b|(?:de |del |en |from |in |of )?(?:el |la |mi |tu |my |the )?(?:pedido|orden|carrito|order|cart|lista|compra)\b)"
)
_ORDINAL: Final = re.compile(
    rf"\b(?:(?:el|la|los|las|lo|del|al|the|o)\s+)?(?P<word>{'|'.join(ORDINALS)})(?:\s+(?:opcion|option|producto|item|one|ones|que\s+(?:me\s+)?\w+|de la lista|de esos|de esas))?\b(?![/])"
)
_NUMBERED: Final = re.compile(
    r"\b(?:opcion|option|producto|linea|renglon|line)\s*(?P<digits>\d{1,2})\b(?!\s*(?:mm|cm|kg|x|\"|/))"
    r"|^(?:(?:el|la|del|de la|the|al)\s+)?(?:numero|nro\.?|number|#)\s?(?P<numbered>\d{1,2})$"
    r"|^(?:el|la|del|de la|the|al)\s+(?P<bare>\d{1,2})$"
)
_THAT: Final = re.compile(
    r"\b(?:(?:de|del|of|a)\s+)?(?:es[eoa]s?|est[eoa]s?|aquel(?:la)?|(?:(?:el|la|los|las|lo)\s+)(?:mism[oa]s?|anterior(?:es)?)|that|those|these|this|them|it"
    r"|(?:the\s+)same|ell[oa]s?|esse|essa|isso|desse|dessa)(?:\s+(?:mism[oa]s?|one|ones))?\b"
)
_ASKING: Final = re.compile(
    r"^(?:cual(?:es)? (?:es|son|seria|serian)|which (?:one )?(?:is|are)|what(?: is|'s)|qual e)\s+(?=\S)"
)
"""Asks which: says nothing of the thing itself."""
_AT_BEGINNING: Final = re.compile(
    r"(?:(?:de|del|el|la|los|las|lo|un|una|uno|unos|unas|the|of|a|an|some|al|en|y|con|o|os|as|do|da|one|ones|por|in|to|from)\s+)+"
)
_AT_END: Final = frozenset(["de", "del", "el", "la", "the", "of", "one", "ones", "en", "por", "y", "in", "to", "from"])
_LONGEST_AT_END: Final = max(map(len, _AT_END))
_AROUND: Final = " ,.;:"
_ONLY_SMALL: Final = re.compile(
    r"(?:de|del|el|la|los|las|lo|un|una|uno|unos|unas|the|of|a|an|some|al|en|y|one|ones|o|os|as|do|da|in|to|from)?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """What a phrase points at. `rest` describes the thing further, without articles at its ends; it may be empty."""

    rest: str
    ordinal: int = 0
    """Rank from 1, from the end where negative; 0: none."""
    that: bool = False
    """It points at what was last spoken of."""
    extreme: Extreme | None = None
    compared: Extreme | None = None
    """More of this than what was last spoken of."""
    of_order: bool = False
    """It speaks of a line of the order."""
    definite: bool = False
    """It began with a definite article: something that both sides know."""

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all."""
        return not (self.rest or self.ordinal or self.that or self.extreme or self.compared)

    @property
    def points(self) -> bool:
        """Whether it points at something shown, rather than describing."""
        return bool(self.ordinal or self.that)


def read_reference(phrase: str) -> Reference:
    """Read a folded phrase."""
    text = _ASKING.sub("", phrase.strip(" ,.;:!?"))
    definite = bool(re.match(r"(?:de |del )?(?:el|la|los|las|the|del)\b", text))
    compared, text = _take_scale(text, _COMPARED)
    extreme = None
    if compared is None:
        extreme, text = _take_scale(text, _EXTREME)
    that = ordinal = 0
    order_line = _ORDER_LINE.search(text)
    if order_line:
        text = _ORDER_LINE.sub(" ", text)
    numbered = _NUMBERED.search(text) or (_NUMBERED.search(phrase) if order_line else None)
    if numbered:
        ordinal = int(numbered["digits"] or numbered["numbered"] or numbered["bare"])
        text = _NUMBERED.sub(" ", text) if _NUMBERED.search(text) else re.sub(r"\b\d{1,2}\b", " ", text, count=1)
    else:
        worded = _ORDINAL.search(text)
        if worded and not _is_fraction_word(worded):
            ordinal = ORDINALS[worded["word"]]
            text = text[: worded.start()] + " " + text[worded.end() :]
    pointed = _THAT.search(text)
    if pointed:
        that = 1
        text = text[: pointed.start()] + " " + text[pointed.end() :]
    return Reference(
        rest=bare(text),
        ordinal=ordinal,
        that=bool(that),
        extreme=extreme,
        compared=compared,
        of_order=order_line is not None,
        definite=definite,
    )


def bare(phrase: str) -> str:
    """A phrase without articles and prepositions at its ends."""
    text = " ".join(phrase.split()).strip(" ,.;:!?")
    start, end = 0, len(text)
    changed = True
    while changed:
        before = (start, end)
        if small := _AT_BEGINNING.match(text, start, end):
            start = small.end()
        blank = text.rfind(" ", max(start, end - _LONGEST_AT_END - 1), end)
        if blank >= 0 and text[blank + 1 : end] in _AT_END:
            end = blank
        while start < end and text[start] in _AROUND:
            start += 1
        while start < end and text[end - 1] in _AROUND:
            end -= 1
        changed = (start, end) != before
    return "" if _ONLY_SMALL.fullmatch(text, start, end) else text[start:end]


def _take_scale(text: str, patterns: list[tuple[re.Pattern[str], Extreme]]) -> tuple[Extreme | None, str]:
    for pattern, extreme in patterns:
        found = pattern.search(text)
        if found:
            return extreme, " ".join((text[: found.start()] + " " + text[found.end() :]).split())
    return None, text


def _is_fraction_word(found: re.Match[str]) -> bool:
    """`tres cuartos`, `un cuarto de pulgada`: a fraction, not a rank."""
    return found["word"] in {"cuarto", "octavo", "quarto"} and not re.match(r"(?:el|la|lo|the|del)\s", found[0])
