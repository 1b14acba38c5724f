"""Plain BM25, the yardstick: folded words, Snowball stems, all text fields as one, no knowledge of the trade.

It shares nothing with the search under test, neither analysis nor index, so it stays where it is while that improves.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import snowballstemmer

from schemas.documents import SearchDocument

_K1: Final = 1.2
_B: Final = 0.75
_WORD: Final = re.compile(r"[a-z0-9]+")

# The commonest words of each language that the other does not have.
_MARKERS: Final[Mapping[str, frozenset[str]]] = {
    "spanish": frozenset({"de", "para", "con", "y", "el", "la", "los", "las", "en", "por", "sin", "del"}),
    "english": frozenset({"the", "for", "with", "and", "of", "in", "to", "by", "is", "on", "from", "your"}),
}


def language_of(texts: Iterable[str]) -> str:
    """`spanish` or `english`, whichever has more of its small words in the texts; Spanish where neither has any."""
    words = Counter(word for text in texts for word in _words(text))
    return max(_MARKERS, key=lambda language: sum(words[marker] for marker in _MARKERS[language]))


def plain_text(document: SearchDocument) -> str:
    """All that a product says of itself, in one text."""
    attributes = [f"{name} {value}" for name, value in document.attributes.items() if not isinstance(value, bool)]
    return " ".join(
        [
            document.title,
            document.brand,
            document.category,
            str(document.sku),
            document.part_number,
            *document.ean,
            document.description,
            *document.bullets,
            *attributes,
        ]
    )


def plain_analysis(language: str) -> Callable[[str], list[str]]:
    """The analysis: case and accents folded, runs of letters and digits, Snowball stems of the language."""
    stemmer = snowballstemmer.stemmer(language)
    stem: Callable[[str], str] = lru_cache(maxsize=200_000)(stemmer.stemWord)
    return lambda text: [stem(word) for word in _words(text)]


@dataclass(frozen=True, slots=True)
class _Postings:
    rows: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    """idf times the saturated, length-normalised frequency: what the term adds to each of the rows."""


class PlainBm25:
    """BM25 over a fixed list of texts (Robertson and Walker; k1 = 1.2, b = 0.75, Lucene's idf)."""

    def __init__(self, texts: Sequence[str], analyse: Callable[[str], list[str]]) -> None:
        self._size = len(texts)
        self._analyse = analyse
        counts = [Counter(analyse(text)) for text in texts]
        lengths = np.array([count.total() for count in counts], np.float64)
        norms = _K1 * (1 - _B + _B * lengths / max(1.0, float(lengths.mean()) if len(texts) else 1.0))
        holding: dict[str, list[tuple[int, int]]] = {}
        for row, count in enumerate(counts):
            for word, frequency in count.items():
                holding.setdefault(word, []).append((row, frequency))
        self._postings = {word: self._posting(found, norms) for word, found in holding.items()}

    def best(self, query: str, limit: int) -> list[tuple[int, float]]:
        """Rows and scores of the `limit` best texts that share a word with the query; equal scores by row."""
        scores = np.zeros(self._size)
        for word, frequency in Counter(self._analyse(query)).items():
            posting = self._postings.get(word)
            if posting is not None:
                scores[posting.rows] += frequency * posting.weights
        rows = np.flatnonzero(scores)
        order = rows[np.argsort(-scores[rows], kind="stable")][:limit]
        return [(int(row), float(scores[row])) for row in order]

    def _posting(self, found: Sequence[tuple[int, int]], norms: npt.NDArray[np.float64]) -> _Postings:
        rows = np.array([row for row, _ in found], np.int64)
        frequencies = np.array([frequency for _, frequency in found], np.float64)
        idf = math.log(1 + (self._size - len(found) + 0.5) / (len(found) + 0.5))
        return _Postings(rows, idf * frequencies * (_K1 + 1) / (frequencies + norms[rows]))


def _words(text: str) -> list[str]:
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return _WORD.findall("".join(letter for letter in decomposed if not unicodedata.combining(letter)))
