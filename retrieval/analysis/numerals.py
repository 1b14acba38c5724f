"""Numbers in words: `tres cuartos`, `pulgada y media`, `half inch`, `dos`.

Fractions spoken over several words are rewritten to digits in the folded text, before it is cut into lexemes; a single
word (`dos`, `media`) keeps its own token and gains the number as an alternative, since it may mean something else.
"""

import re
from typing import Final

NUMERALS: Final[dict[str, str]] = {
    word: str(value)
    for value, words in {
        2: "dos two",
        3: "tres three",
        4: "cuatro four",
        5: "cinco five",
        6: "seis six",
        7: "siete seven",
        8: "ocho eight",
        9: "nueve nine",
        10: "diez ten",
        11: "once eleven",
        12: "doce twelve",
        15: "quince fifteen",
        20: "veinte twenty",
        25: "veinticinco",
        30: "treinta thirty",
        40: "cuarenta forty",
        50: "cincuenta fifty",
        100: "cien hundred",
    }.items()
    for word in words.split()
} | {"media": "1/2", "medio": "1/2", "half": "1/2"}

_ONE: Final = {"un": "1", "una": "1", "uno": "1", "one": "1", "a": "1", "": "1"}
_DENOMINATORS: Final = {"cuarto": 4, "quarter": 4, "octavo": 8, "eighth": 8, "dieciseisavo": 16, "sixteenth": 16}
_HINTS: Final = ("medi", "half", *_DENOMINATORS)

_COUNT: Final = "un|una|uno|one|a|" + "|".join(word for word in NUMERALS if NUMERALS[word].isdigit())
_PART: Final = rf"(?:(?P<half>medi[ao]|half)|(?:(?P<above>{_COUNT}) )?(?P<below>{'|'.join(_DENOMINATORS)})s?)"
_INCH: Final = r"pulgadas?|inch(?:es)?"
_WHOLE_AND_PART: Final = re.compile(rf"\b(?P<whole>\d{{1,2}}|{_COUNT}|{_INCH}) (?:y|and)(?: a)? {_PART}\b")
_COUNTED_PART: Final = re.compile(rf"\b(?P<above>{_COUNT}) (?P<below>{'|'.join(_DENOMINATORS)})s?\b(?P<half>)")
_PART_OF_INCH: Final = re.compile(rf"\b{_PART}(?= (?:de )?(?:{_INCH})\b)")


def spell_fractions(folded: str) -> str:
    """Write spoken fractions of a folded text in digits: `una pulgada y media` → `una 1 1/2 pulgada`."""
    if not any(hint in folded for hint in _HINTS):
        return folded
    spelled = _WHOLE_AND_PART.sub(_mixed, folded)
    spelled = _COUNTED_PART.sub(_fraction, spelled)
    return _PART_OF_INCH.sub(_fraction, spelled)


def _fraction(match: re.Match[str]) -> str:
    if match["half"]:
        return "1/2"
    above = match["above"] or ""
    return f"{_ONE.get(above) or NUMERALS[above]}/{_DENOMINATORS[match['below']]}"


def _mixed(match: re.Match[str]) -> str:
    whole = match["whole"]
    if whole.startswith(("pulgada", "inch")):
        return f"1 {_fraction(match)} pulgada"
    digits = whole if whole.isdigit() else _ONE.get(whole) or NUMERALS[whole]
    return f"{digits} {_fraction(match)}"
