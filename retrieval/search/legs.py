"""The retrievers behind one small port: each turns a prepared query into a ranked list of products.

A leg knows one way of finding and nothing of the others; running them side by side, deadlines and failures are the
business of `retrieval.search.fanout`. A further way of finding is another class here and its weight in the settings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Final, Protocol

from retrieval.analysis.tokens import TokenKind
from retrieval.search.fusion import RankedHit
from retrieval.search.query import PreparedQuery
from retrieval.search.query_vectors import QueryVectors
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import TEXT_VECTOR, VectorIndex
from schemas.api.search import RetrieverName
from schemas.identity import SkuKey

_MAX_CODE_CHARACTERS: Final = 64
_MAX_CODES: Final = 4
"""Codes that are looked up for one query: the whole text, then code tokens in it."""


class Leg(Protocol):
    """One way of finding products."""

    @property
    def retriever(self) -> RetrieverName:
        """Its name in weights, signals and reports."""
        ...

    @property
    def depth(self) -> int:
        """How many products it gives at most."""
        ...

    def applies(self, query: PreparedQuery) -> bool:
        """Whether it has anything to say about this query; one that does not is not run."""
        ...

    async def find(self, query: PreparedQuery) -> Sequence[RankedHit]:
        """At most `depth` distinct products within the filter, best first.

        Raises:
            StoreUnavailableError: its store did not answer.
        """
        ...


class DenseLeg:
    """Nearest neighbours of the query's vector."""

    def __init__(self, vectors: VectorIndex, queries: QueryVectors, *, depth: int) -> None:
        self.retriever = RetrieverName.DENSE
        self.depth = depth
        self._vectors = vectors
        self._queries = queries

    def applies(self, query: PreparedQuery) -> bool:
        """Every text has a vector; no text has none."""
        return bool(query.text)

    async def find(self, query: PreparedQuery) -> Sequence[RankedHit]:
        """Encode off the loop, then search the vector store."""
        vector = await self._queries.vector(query.text)
        neighbours = await self._vectors.search(vector, using=TEXT_VECTOR, within=query.within, limit=self.depth)
        return [RankedHit(hit.key, hit.score) for hit in neighbours]


class TextLeg:
    """BM25 over the analysed fields."""

    def __init__(self, reader: TextIndexReader, executor: Executor, *, depth: int) -> None:
        self.retriever = RetrieverName.TEXT
        self.depth = depth
        self._reader = reader
        self._executor = executor

    def applies(self, query: PreparedQuery) -> bool:
        """A text of which the analysis leaves nothing (punctuation) matches nothing."""
        return bool(query.analysed.tokens)

    async def find(self, query: PreparedQuery) -> Sequence[RankedHit]:
        """Search off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._find, query)

    def _find(self, query: PreparedQuery) -> list[RankedHit]:
        hits = self._reader.search(query.analysed, within=query.within, limit=self.depth)
        return [RankedHit(hit.key, hit.score) for hit in hits]


class CodeLeg:
    """The shortcut for a SKU, EAN or part number: the whole query, or a code among its words."""

    def __init__(self, reader: TextIndexReader, executor: Executor, *, depth: int) -> None:
        self.retriever = RetrieverName.CODE
        self.depth = depth
        self._reader = reader
        self._executor = executor

    def applies(self, query: PreparedQuery) -> bool:
        """Only where there is something that may be a code."""
        return bool(code_candidates(query))

    async def find(self, query: PreparedQuery) -> Sequence[RankedHit]:
        """Look the codes up off the loop; the whole text comes before its words."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._find, query)

    def _find(self, query: PreparedQuery) -> list[RankedHit]:
        found: dict[SkuKey, RankedHit] = {}
        for code in code_candidates(query):
            for key in self._reader.lookup_code(code, within=query.within, limit=self.depth):
                found.setdefault(key, RankedHit(key, 1.0))
        return list(found.values())[: self.depth]


class ListLeg:
    """What meets the filter, where there is no query text."""

    def __init__(self, reader: TextIndexReader, executor: Executor, *, depth: int) -> None:
        self.retriever = RetrieverName.LIST
        self.depth = depth
        self._reader = reader
        self._executor = executor

    def applies(self, query: PreparedQuery) -> bool:
        """Only without text."""
        return not query.text

    async def find(self, query: PreparedQuery) -> Sequence[RankedHit]:
        """List off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._find, query)

    def _find(self, query: PreparedQuery) -> list[RankedHit]:
        return [RankedHit(key, 0.0) for key in self._reader.listed(query.within, limit=self.depth)]


def code_candidates(query: PreparedQuery) -> list[str]:
    """The texts that may be codes, most specific first: the query as a whole, then its tokens of kind code."""
    candidates: dict[str, None] = {}
    if query.text and len(query.text) <= _MAX_CODE_CHARACTERS:
        candidates[query.text] = None
    for token in query.analysed.tokens:
        if token.kind is TokenKind.CODE:
            candidates[token.text] = None
    return list(candidates)[:_MAX_CODES]
