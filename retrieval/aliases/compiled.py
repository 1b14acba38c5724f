"""Compiled aliases: the entries as a trie over analysed words, to find the longest known expression at each word.

Words are compared as the analysis leaves them, so accents, plurals and genders do not matter; stop words between them do
not either (`llave de tubo`, `llave tubo`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Generic, TypeVar

from retrieval.analysis.pipeline import analyse
from retrieval.analysis.tokens import Token, TokenKind
from runtime.bounded_cache import remembered
from schemas.records.aliases import AliasKind, AliasRecord

T = TypeVar("T")

Slots = Sequence[frozenset[str]]
"""A text's positions, each with the texts of its tokens; positions of stop words are left out."""


@dataclass(slots=True)
class _Node(Generic[T]):
    children: dict[str, _Node[T]] = field(default_factory=dict)
    values: list[T] = field(default_factory=list)


class PhraseTrie(Generic[T]):
    """Expressions with what is known of each. Filled first, then only read."""

    def __init__(self) -> None:
        self._root: _Node[T] = _Node()
        self._words: set[str] = set()

    def add(self, words: Sequence[str], value: T) -> None:
        """File a value under an expression of one word or more."""
        self._words.update(words)
        node = self._root
        for word in words:
            node = node.children.setdefault(word, _Node())
        node.values.append(value)

    def has_word(self, word: str) -> bool:
        """Whether some expression has this word."""
        return word in self._words

    def longest(self, slots: Slots, start: int) -> tuple[int, tuple[T, ...]]:
        """The end (exclusive) of the longest expression that begins at `start`, and its values; `start` and none."""
        found = self.beginning(slots, start)
        return found[-1] if found else (start, ())

    def beginning(self, slots: Slots, start: int) -> list[tuple[int, tuple[T, ...]]]:
        """Every expression that begins at `start`, the shortest first: its end (exclusive) and its values."""
        nodes = [self._root]
        found: list[tuple[int, tuple[T, ...]]] = []
        for place in range(start, len(slots)):
            nodes = [node.children[word] for node in nodes for word in slots[place] if word in node.children]
            if not nodes:
                break
            if values := tuple(value for node in nodes for value in node.values):
                found.append((place + 1, values))
        return found


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
