"""The analysis of a text, whole: fold, spell, cut, expand, place. Documents and queries go through the same function.

Raise `ANALYSER_VERSION` with every change that gives some text other tokens: the text index records it and refuses to
mix two.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from retrieval.analysis import tokens as codes
from retrieval.analysis.abbreviations import SHIPPED, Abbreviations
from retrieval.analysis.expansion import STOP_WORDS, Slot, expand
from retrieval.analysis.folding import fold
from retrieval.analysis.lexer import Lexeme, LexemeKind, lexemes
from retrieval.analysis.measures import spell_fractions
from retrieval.analysis.tokens import AnalysedText, Token

ANALYSER_VERSION: Final = f"1.{SHIPPED.revision}"


@dataclass(frozen=True, slots=True)
class AnalysisStages:
    """What each stage of the analysis made of a text, for people to look at."""

    text: str
    folded: str
    spelled: str
    lexemes: tuple[Lexeme, ...]
    tokens: tuple[Token, ...]


def analyse(text: str, abbreviations: Abbreviations = SHIPPED) -> AnalysedText:
    """The tokens of `text`, in order; those that share a position are alternatives of each other."""
    return AnalysedText(text, _tokens(lexemes(spell_fractions(fold(text))), abbreviations))


def analyse_stages(text: str, abbreviations: Abbreviations = SHIPPED) -> AnalysisStages:
    """The same analysis with every stage kept."""
    folded = fold(text)
    spelled = spell_fractions(folded)
    pieces = tuple(lexemes(spelled))
    return AnalysisStages(text, folded, spelled, pieces, _tokens(pieces, abbreviations))


@dataclass(frozen=True, slots=True)
class PlacedLexeme:
    """A lexeme and the positions that its tokens take: from `first` on, `width` of them (0 for what has no tokens)."""

    lexeme: Lexeme
    first: int
    width: int


def placed(text: str, abbreviations: Abbreviations = SHIPPED) -> tuple[str, tuple[PlacedLexeme, ...]]:
    """The text as the lexer reads it, and its lexemes with the positions that `analyse` gives their tokens."""
    spelled = spell_fractions(fold(text))
    found: list[PlacedLexeme] = []
    position = 0
    for piece in lexemes(spelled):
        width = len(expand(piece.kind, piece.text, abbreviations))
        found.append(PlacedLexeme(piece, position, width))
        position += width
    return spelled, tuple(found)


def surface_words(text: str) -> Iterator[str]:
    """The words of a text as they are written, folded, of two letters and more; sizes, codes and stop words left out."""
    for piece in lexemes(spell_fractions(fold(text))):
        if piece.kind is LexemeKind.WORD or piece.kind is LexemeKind.COMPOUND:
            for word in piece.text.split("-"):
                plain = word.rstrip(".").removesuffix("'s")
                if len(plain) > 1 and plain not in STOP_WORDS:
                    yield plain


def _tokens(pieces: Iterable[Lexeme], abbreviations: Abbreviations) -> tuple[Token, ...]:
    tokens: list[Token] = []
    position = 0
    previous: Lexeme | None = None
    for piece in pieces:
        for slot in _with_joined(previous, piece, expand(piece.kind, piece.text, abbreviations)):
            tokens.extend([Token(text, kind, position) for text, kind in slot])
            position += 1
        previous = piece
    return tuple(tokens)


def _with_joined(previous: Lexeme | None, piece: Lexeme, slots: tuple[Slot, ...]) -> tuple[Slot, ...]:
    """Add the code that a word and this number make together, where they are one written apart: `BLT 992900`."""
    if (
        previous is None
        or previous.kind is not LexemeKind.WORD
        or piece.kind is not LexemeKind.QUANTITY
        or piece.start - previous.end != 1
        or not piece.text.isdigit()
        or previous.text in STOP_WORDS
        or not codes.may_join(previous.text, piece.text)
    ):
        return slots
    code = previous.text + piece.text
    return ((*slots[0], (code, codes.kind(code))), *slots[1:])
