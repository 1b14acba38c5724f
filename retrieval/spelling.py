"""The dictionary that a tenant's queries are spelt by: the words of its catalogue, found again from a misspelling.

Candidates come from a deletion neighbourhood (Garbe's SymSpell) over the words' sounds: a word is filed under its sound
key and under every key with up to two letters left out, and so is the misspelling; where both meet, they are at most two
edits apart. Deletions are taken from the first letters of a key only, which bounds the index; the edit distance over the
whole words (insertions, deletions, substitutions and swaps of neighbours) decides.

A sound key is how a word sounds to a Spanish ear, since people write hardware as they hear it, foreign words included: `sinta`
and `cinta`, `akordeon` and `acordeon`, `brequer` and `breaker` share or nearly share one. The rules are the merges of
American Spanish: b/v, s/z/soft c, ll/y, silent h, g/j before e and i, k/qu/hard c, n/m before a consonant or at the end, w as
gu, doubled letters.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from retrieval.analysis.stemming import stem
from runtime.bounded_cache import remembered_words

_SHORTEST: Final = 4
"""Words below are names of units and models more often than misspellings."""
_LONGEST: Final = 40
"""Letters of a word that is corrected. Words above are no words, and comparing two takes the product of their lengths."""
_TWO_EDITS_FROM: Final = 6
_KEY_PREFIX: Final = 8
_SHORTEST_HALF: Final = 3
_FIRST_LETTER_PENALTY: Final = 0.3
_WORD_BYTES: Final = 4_096
"""A word of the catalogue with its neighbourhood; 3,200 to 4,300 were measured."""


@dataclass(frozen=True, slots=True)
class Correction:
    """What a word was probably meant to be: one word, or two that were written as one. `cost` in edits, 0 the surest."""

    written: str
    meant: tuple[str, ...]
    cost: float

    @property
    def text(self) -> str:
        """The words as they are shown."""
        return " ".join(self.meant)


class SpellingDictionary:
    """Words with how often they occur. Words may be added; none is taken out (a dictionary is rebuilt for that)."""

    def __init__(self, words: Mapping[str, float] | None = None) -> None:
        self._frequency: dict[str, float] = {}
        self._stems: set[str] = set()
        self._sounds: dict[str, str] = {}
        self._neighbours: dict[str, tuple[str, ...]] = {}
        """Some ten entries a word. Tuples of words are smaller than lists, and no work for the garbage collector."""
        self.add(words or {})

    def __len__(self) -> int:
        return len(self._frequency)

    @property
    def bytes(self) -> int:
        """About what the dictionary takes of memory."""
        return _WORD_BYTES * len(self._frequency)

    def add(self, words: Mapping[str, float]) -> int:
        """Take in words that are new, and the frequency of all; how many were new."""
        added = 0
        near: defaultdict[str, list[str]] = defaultdict(list)
        for word, frequency in words.items():
            if word not in self._frequency:
                added += 1
                self._file(word, frequency, near)
            self._frequency[word] = frequency
        for key, found in near.items():
            self._neighbours[key] = (*self._neighbours.get(key, ()), *found)
        return added

    def knows(self, word: str) -> bool:
        """Whether the catalogue has this folded word, in any number or gender."""
        return word in self._frequency or stem(word) in self._stems

    def frequency(self, word: str) -> float:
        """In how many documents this very form occurs."""
        return self._frequency.get(word, 0.0)

    def correct(self, word: str) -> Correction | None:
        """The best correction of an unknown folded word; None where nothing is near enough."""
        if not _SHORTEST <= len(word) <= _LONGEST or not word.isalpha() or self.knows(word):
            return None
        near = self._nearest(word)
        if near is not None and near.cost <= 1:
            return near
        apart = self.split(word)
        found = [one for one in (near, apart) if one is not None]
        return min(found, key=lambda one: one.cost) if found else None

    def split(self, word: str) -> Correction | None:
        """Two known words that were written as one, judged by their sounds; each has three letters or more."""
        if len(word) > _LONGEST:
            return None
        best: tuple[float, tuple[str, str]] | None = None
        for cut in range(_SHORTEST_HALF, len(word) - _SHORTEST_HALF + 1):
            left, right = self._same_sound(word[:cut]), self._same_sound(word[cut:])
            if left is None or right is None:
                continue
            rarer = min(self._frequency[left], self._frequency[right])
            if best is None or rarer > best[0]:
                best = (rarer, (left, right))
        if best is None:
            return None
        exact = "".join(best[1]) == word
        return Correction(word, best[1], 0.5 if exact else 1.2)

    def _same_sound(self, part: str) -> str | None:
        if part in self._frequency:
            return part
        return self._sounds.get(sound_key(part)) or self._sounds.get(sound_key(stem(part)))

    def _nearest(self, word: str) -> Correction | None:
        sound = sound_key(word)
        most = 2 if len(word) >= _TWO_EDITS_FROM else 1
        best: tuple[float, str] | None = None
        for candidate in {c for key in _deletions(sound[:_KEY_PREFIX], most) for c in self._neighbours.get(key, ())}:
            other = sound_key(candidate)
            heard = edit_distance(sound, other, most=most)
            if heard > most:
                continue
            # Number and gender are no mistakes: what is nearer of the words and their stems counts.
            seen = min(
                edit_distance(word, candidate, most=most + 2),
                edit_distance(stem(word), stem(candidate), most=most + 2),
            )
            cost = min(0.7 * heard + 0.3 * seen, seen) + (_FIRST_LETTER_PENALTY if sound[:1] != other[:1] else 0.0)
            rank = (cost - 0.05 * math.log1p(self._frequency[candidate]), candidate)
            if best is None or rank < best:
                best = rank
        return None if best is None else Correction(word, (best[1],), max(0.0, best[0]))

    def _file(self, word: str, frequency: float, near: defaultdict[str, list[str]]) -> None:
        """Take in one word; `near` gets it under the keys that it is found again by."""
        self._stems.add(stem(word))
        if not _SHORTEST_HALF <= len(word) <= _LONGEST or not word.isalpha():
            return
        sound = sound_key(word)
        for key in (sound, sound_key(stem(word))):
            held = self._sounds.get(key)
            if held is None or self._frequency.get(held, 0.0) < frequency:
                self._sounds[key] = word
        if len(word) >= _SHORTEST:
            for key in _deletions(sound[:_KEY_PREFIX], 2 if len(word) >= _TWO_EDITS_FROM - 1 else 1):
                near[key].append(word)


def _deletions(key: str, most: int) -> Iterator[str]:
    """The key and all keys with up to `most` letters left out, each once."""
    seen = {key}
    edge = [key]
    yield key
    for _ in range(most):
        edge = [shorter for one in edge for at in range(len(one)) if (shorter := one[:at] + one[at + 1 :]) not in seen]
        edge = list(dict.fromkeys(edge))
        seen.update(edge)
        yield from edge


def edit_distance(left: str, right: str, *, most: int) -> int:
    """The optimal string alignment distance, or `most + 1` where it is more than `most`.

    Damerau-Levenshtein without a second edit of a swapped pair (Boytsov, *Indexing methods for approximate dictionary
    searching*, ACM JEA 2011, section 2).
    """
    if abs(len(left) - len(right)) > most:
        return most + 1
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, here in enumerate(left, start=1):
        line = [row]
        for column, there in enumerate(right, start=1):
            cost = min(above[column] + 1, line[column - 1] + 1, above[column - 1] + (here != there))
            if row > 1 and column > 1 and here == right[column - 2] and left[row - 2] == there:
                cost = min(cost, before[column - 2] + 1)
            line.append(cost)
        if min(line) > most:
            return most + 1
        before, above = above, line
    return min(above[-1], most + 1)


_RULES: Final = tuple(
    (re.compile(pattern), sound)
    for pattern, sound in (
        (r"ph", "f"),
        (r"ch", "C"),
        (r"sh", "C"),
        (r"h", ""),
        (r"ck", "k"),
        (r"ll", "y"),
        (r"qu(?=[ei])", "k"),
        (r"q", "k"),
        (r"c(?=[eiy])", "s"),
        (r"c", "k"),
        (r"z", "s"),
        (r"v", "b"),
        (r"gu(?=[ei])", "g"),
        (r"g(?=[ei])", "j"),
        (r"w", "gu"),
        (r"x", "ks"),
        (r"y(?=$|[^aeiou])", "i"),
        (r"(?<!^)m(?=$|[^aeiou])", "n"),
        (r"(.)\1+", r"\1"),
    )
)


@remembered_words(max_bytes=96 * 1024 * 1024)
def sound_key(word: str) -> str:
    """The key of a folded word: `hombre` and `ombre` are both `onbre`."""
    for pattern, sound in _RULES:
        word = pattern.sub(sound, word)
    return word
