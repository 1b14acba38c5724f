"""Spelling on a query: unknown words corrected in place. Pure over what is known of the tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from retrieval.analysis.expansion import STOP_WORDS
from retrieval.analysis.lexer import LexemeKind
from retrieval.analysis.pipeline import placed
from retrieval.analysis.stemming import stem
from retrieval.search.planning.knowledge import TenantKnowledge
from retrieval.spelling import Correction

_MOST_COST: Final = 1.25
_MOST_COST_LONG: Final = 1.8
_LONG: Final = 7
"""Of a longer word more letters may be wrong before it becomes another one."""


@dataclass(frozen=True, slots=True)
class Spelled:
    """A text with corrections made, the corrections, and the words that stay unknown."""

    text: str
    corrections: tuple[Correction, ...] = ()
    unknown: tuple[str, ...] = ()


def spell(text: str, known: TenantKnowledge) -> Spelled:
    """Correct the words that the tenant's catalogue and tables do not know; a text without any comes back as it is.

    Abbreviations (with their point, or expanded by the analysis), sizes and codes are left alone.
    """
    spelled, lexemes = placed(text)
    corrections: list[Correction] = []
    unknown: list[str] = []
    pieces: list[str] = []
    end = 0
    for piece in (one.lexeme for one in lexemes):
        if piece.kind is not LexemeKind.WORD or piece.text.endswith(".") or _known(piece.text, known):
            continue
        correction = known.correct(piece.text)
        if correction is None or correction.cost > (_MOST_COST_LONG if len(piece.text) >= _LONG else _MOST_COST):
            unknown.append(piece.text)
            continue
        corrections.append(correction)
        pieces += [spelled[end : piece.start], correction.text]
        end = piece.end
    if not corrections:
        return Spelled(text, (), tuple(unknown))
    return Spelled("".join([*pieces, spelled[end:]]), tuple(corrections), tuple(unknown))


def _known(word: str, known: TenantKnowledge) -> bool:
    return word in STOP_WORDS or known.knows(word) or known.aliases.knows(stem(word))
