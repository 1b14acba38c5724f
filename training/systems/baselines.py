"""The baselines: plain BM25, the encoder alone, and their plain reciprocal rank fusion, over the same documents.

Plain BM25 folds words, takes Snowball stems and reads all text fields as one. It shares neither analysis nor index with the
search under test, so that the yardstick stays where it is while that improves.
"""

from __future__ import annotations

import math
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import snowballstemmer

from retrieval.filters import CatalogueFilter
from retrieval.vectors.spaces import TEXT_VECTOR
from schemas.documents import SearchDocument
from schemas.identity import TenantId
from training.systems.indexed_catalogue import IndexedCatalogue
from training.systems.port import RankedAnswer, SearchSystem

_RRF_K: Final = 60.0
"""As in the paper on reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009)."""


class BaselineKind(StrEnum):
    """Which baseline."""

    BM25 = "bm25"
    DENSE = "dense"
    RRF = "rrf"


def baseline(kind: BaselineKind, catalogue: IndexedCatalogue) -> SearchSystem:
    """A baseline over the catalogue; indexes of plain BM25 are built per tenant as they are first asked for."""
    if kind is BaselineKind.BM25:
        return Bm25System(catalogue)
    if kind is BaselineKind.DENSE:
        return DenseSystem(catalogue)
    return RrfSystem(Bm25System(catalogue), DenseSystem(catalogue))


@dataclass(frozen=True, slots=True)
class _TenantIndex:
    skus: tuple[str, ...]
    index: PlainBm25


class Bm25System:
    """Plain BM25, stemmed in the language of the tenant's titles."""

    name = "BM25 (plain)"

    def __init__(self, catalogue: IndexedCatalogue) -> None:
        self._catalogue = catalogue
        self._by_tenant: dict[TenantId, _TenantIndex] = {}

    async def answer(self, text: str, tenant: TenantId, limit: int) -> RankedAnswer:
        """The best texts."""
        found = self._of(tenant)
        started = time.perf_counter()
        skus = [found.skus[row] for row, _ in found.index.best(text, limit)]
        return _answer(skus, "bm25", started)

    def close(self) -> None:
        """Nothing is held open."""

    def _of(self, tenant: TenantId) -> _TenantIndex:
        found = self._by_tenant.get(tenant)
        if found is None:
            documents = [
                document for key, document in sorted(self._catalogue.documents.items()) if key.tenant == tenant
            ]
            analyse = plain_analysis(language_of(document.title for document in documents))
            index = PlainBm25([plain_text(document) for document in documents], analyse)
            found = self._by_tenant[tenant] = _TenantIndex(tuple(str(document.sku) for document in documents), index)
        return found


class DenseSystem:
    """Nearest neighbours of the query's vector."""

    name = "dense"

    def __init__(self, catalogue: IndexedCatalogue) -> None:
        self._catalogue = catalogue

    async def answer(self, text: str, tenant: TenantId, limit: int) -> RankedAnswer:
        """Encode and compare."""
        started = time.perf_counter()
        vector = self._catalogue.encoder.encode_queries([text])[0]
        hits = await self._catalogue.vectors.search(
            vector, using=TEXT_VECTOR, within=CatalogueFilter(tenant), limit=limit
        )
        return _answer([str(hit.key.sku) for hit in hits], "dense", started)

    def close(self) -> None:
        """Nothing is held open."""


class RrfSystem:
    """Reciprocal rank fusion of two systems with equal weights."""

    name = "RRF (plain)"

    def __init__(self, first: SearchSystem, second: SearchSystem) -> None:
        self._systems = (first, second)

    async def answer(self, text: str, tenant: TenantId, limit: int) -> RankedAnswer:
        """Ask both, add 1 / (60 + rank); ties go to the better single rank, then to the smaller SKU."""
        started = time.perf_counter()
        found: dict[str, dict[str, int]] = {}
        for system in self._systems:
            answer = await system.answer(text, tenant, limit)
            for sku, ranks in answer.found_by.items():
                found.setdefault(sku, {}).update(ranks)
        ordered = sorted(
            found,
            key=lambda sku: (-sum(1 / (_RRF_K + rank) for rank in found[sku].values()), min(found[sku].values()), sku),
        )[:limit]
        total = (time.perf_counter() - started) * 1000
        return RankedAnswer(tuple(ordered), {sku: found[sku] for sku in ordered}, milliseconds={"total": total})

    def close(self) -> None:
        """Close both."""
        for system in self._systems:
            system.close()


def _answer(skus: Sequence[str], retriever: str, started: float) -> RankedAnswer:
    total = (time.perf_counter() - started) * 1000
    return RankedAnswer(
        tuple(skus), {sku: {retriever: rank} for rank, sku in enumerate(skus, start=1)}, milliseconds={"total": total}
    )


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
