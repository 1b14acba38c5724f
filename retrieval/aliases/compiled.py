"""Compiled aliases: the entries as a trie over analysed words, to find the longest known expression at each word.

Words are compared as the analysis leaves them, so accents, plurals and genders do not matter; stop words between them do
not either (`llave de tubo`, `llave tubo`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from retrieval.aliases.trie import PhraseTrie, Slots
from retrieval.analysis.pipeline import analyse
from retrieval.analysis.tokens import Token, TokenKind
from runtime.bounded_cache import remembered
from schemas.aliases import AliasKind, AliasRecord

_COMPARED: Final = frozenset({TokenKind.WORD, TokenKind.NUMBER, TokenKind.CODE})


@dataclass(frozen=True, slots=True)
class Phrase:
    """An expression and its words as the index knows them, one token a position."""

    text: str
    tokens: tuple[Token, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The tokens' texts."""
        return tuple(token.text for token in self.tokens)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What one entry says that an expression also means."""

    entry: str
    kind: AliasKind
    targets: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class AliasMatch:
    """Positions `start` to `end` (exclusive) of the query's slots, and every rewriting of the expression that stands there."""

    start: int
    end: int
    rewritings: tuple[Rewriting, ...]


class CompiledAliases:
    """The synonyms, aliases and stop words of some entries, ready to be matched. Immutable once built."""

    def __init__(self, records: Iterable[AliasRecord] = ()) -> None:
        self._known = PhraseTrie[Rewriting]()
        for record in records:
            self._add(record)

    def knows(self, word: str) -> bool:
        """Whether some expression that is rewritten has this word."""
        return self._known.has_word(word)

    def matches(self, slots: Slots) -> list[AliasMatch]:
        """From left to right, the longest known expression at each place; no two overlap."""
        found: list[AliasMatch] = []
        place = 0
        while place < len(slots):
            end, rewritings = self._known.longest(slots, place)
            if rewritings:
                found.append(AliasMatch(place, end, rewritings))
            place = end if rewritings else place + 1
        return found

    def _add(self, record: AliasRecord) -> None:
        sources = _phrases(record.terms)
        if record.kind is AliasKind.SYNONYM:
            for source in sources:
                others = tuple(other for other in sources if other.words != source.words)
                self._insert(source, record, others)
        elif record.kind is AliasKind.ALIAS:
            targets = _phrases(record.targets)
            for source in sources:
                self._insert(source, record, tuple(target for target in targets if target.words != source.words))
        elif record.kind is AliasKind.STOP:
            for source in sources:
                self._insert(source, record, ())

    def _insert(self, source: Phrase, record: AliasRecord, targets: tuple[Phrase, ...]) -> None:
        if not targets and record.kind is not AliasKind.STOP:
            return
        self._known.add(source.words, Rewriting(record.id, record.kind, targets))


def slots_of(tokens: Sequence[Token]) -> list[tuple[Token, ...]]:
    """The tokens by position, in order."""
    return [tuple(slot) for _, slot in groupby(tokens, key=lambda token: token.position)]


def compared(slot: Iterable[Token]) -> frozenset[str]:
    """The texts by which a position is compared with the entries."""
    return frozenset(token.text for token in slot if token.kind in _COMPARED)


def _phrases(terms: Iterable[str]) -> tuple[Phrase, ...]:
    found: dict[tuple[str, ...], Phrase] = {}
    for term in terms:
        phrase = phrase_of(term)
        if phrase.tokens:
            found.setdefault(phrase.words, phrase)
    return tuple(found.values())


_PHRASE_BYTES: Final = 16 * 1024 * 1024
"""Of expressions: some 10,000, more than the tables of most shops have."""


@remembered("phrases", max_bytes=_PHRASE_BYTES)
def phrase_of(text: str) -> Phrase:
    """An expression as the index knows it: of each position the word as it is written, without its alternatives."""
    slots = slots_of(analyse(text).tokens)
    return Phrase(text, tuple(next((t for t in slot if t.kind in _COMPARED), slot[0]) for slot in slots))
