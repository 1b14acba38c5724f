"""A trie over analysed words: the longest known expression at a place of a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

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
