"""The retrievers behind one small port: each turns a planned query into a ranked list of products.

A retriever knows one way of finding and nothing of the others; running them side by side, deadlines and failures are the
business of `retrieval.search.retrievers.fanout`. A further way of finding is another class here and its weight in the settings.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from typing import ClassVar, Final, Protocol

from retrieval.analysis.tokens import TokenKind
from retrieval.search.planning.plan import QueryPlan
from retrieval.search.ranking.fusion import RankedHit
from retrieval.search.retrievers.query_encoders import QueryVectors, SparseQueryEncoder
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import VectorIndex
from schemas.api.explain import RetrieverName
from schemas.errors import InvalidEventError
from schemas.identity import SkuKey, TenantId

_MAX_CODE_CHARACTERS: Final = 64
_MAX_CODES: Final = 4
"""Codes that are looked up for one query: the whole text, then code tokens in it."""


class Retriever(Protocol):
    """One way of finding products."""

    @property
    def name(self) -> RetrieverName:
        """Its name in weights, signals and reports."""
        ...

    @property
    def depth(self) -> int:
        """How many products it gives at most."""
        ...

    def applies(self, query: QueryPlan) -> bool:
        """Whether it has anything to say about this query; one that does not is not run."""
        ...

    async def find(self, query: QueryPlan) -> Sequence[RankedHit]:
        """At most `depth` distinct products within the filter, best first.

        Raises:
            StoreUnavailableError: its store did not answer.
        """
        ...


class VectorRetriever:
    """Nearest neighbours of the query's vector in one space: by meaning in a dense one, by learned word weights in a sparse one."""

    def __init__(
        self,
        name: RetrieverName,
        space: str,
        vectors: VectorIndex,
        queries: QueryVectors | SparseQueryEncoder,
        depth: int,
    ) -> None:
        self.name = name
        self.depth = depth
        self._space = space
        self._vectors = vectors
        self._queries = queries

    def applies(self, query: QueryPlan) -> bool:
        """Every text has a vector; no text has none."""
        return bool(query.dense_texts)

    async def find(self, query: QueryPlan) -> Sequence[RankedHit]:
        """Encode off the loop, then search the vector store with the mean of the plan's texts."""
        vector = await self._queries.mean_vector(query.dense_texts)
        neighbours = await self._vectors.search(
            vector, using=self._space, catalogue_filter=query.catalogue_filter, limit=self.depth
        )
        return [RankedHit(hit.key, hit.score) for hit in neighbours]


class ReplicaRetriever(ABC):
    """One that reads the text replica, off the loop."""

    name: ClassVar[RetrieverName]

    def __init__(self, reader: TextIndexReader, executor: Executor, *, depth: int) -> None:
        self.depth = depth
        self._reader = reader
        self._executor = executor

    @abstractmethod
    def applies(self, query: QueryPlan) -> bool:
        """As of a `Retriever`."""

    async def find(self, query: QueryPlan) -> Sequence[RankedHit]:
        """As of a `Retriever`."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._find, query)

    @abstractmethod
    def _find(self, query: QueryPlan) -> list[RankedHit]: ...


class TextRetriever(ReplicaRetriever):
    """BM25 over the analysed fields."""

    name = RetrieverName.TEXT

    def applies(self, query: QueryPlan) -> bool:
        """A text of which the analysis leaves nothing (punctuation) matches nothing."""
        return bool(query.text_query.clauses)

    def _find(self, query: QueryPlan) -> list[RankedHit]:
        hits = self._reader.search(query.text_query, catalogue_filter=query.catalogue_filter, limit=self.depth)
        return [RankedHit(hit.key, hit.score) for hit in hits]


class CodeRetriever(ReplicaRetriever):
    """The shortcut for a SKU, EAN or part number: the whole query, or a code among its words."""

    name = RetrieverName.CODE

    def applies(self, query: QueryPlan) -> bool:
        """Only where there is something that may be a code."""
        return bool(code_candidates(query))

    def _find(self, query: QueryPlan) -> list[RankedHit]:
        found: dict[SkuKey, RankedHit] = {}
        for code in code_candidates(query):
            for key in self._reader.lookup_code(code, catalogue_filter=query.catalogue_filter, limit=self.depth):
                found.setdefault(key, RankedHit(key, 1.0))
        return list(found.values())[: self.depth]


class RedirectRetriever(ReplicaRetriever):
    """The products that the shop's alias table puts first for exactly this query."""

    name = RetrieverName.REDIRECT

    def applies(self, query: QueryPlan) -> bool:
        """Only where an entry redirects the query."""
        return bool(query.redirects)

    def _find(self, query: QueryPlan) -> list[RankedHit]:
        keys = list(_named(query.catalogue_filter.tenant, query.redirects[: self.depth]))
        living = self._reader.matching(keys, query.catalogue_filter)
        return [RankedHit(key, 1.0) for key in keys if key in living]


def _named(tenant: TenantId, skus: Iterable[str]) -> Iterator[SkuKey]:
    """The products that SKUs name, in whatever spelling an entry has them; a text that can be no SKU names none."""
    for sku in skus:
        with suppress(InvalidEventError):
            yield SkuKey.of(tenant, sku)


class ListRetriever(ReplicaRetriever):
    """What meets the filter, where there is no query text."""

    name = RetrieverName.LIST

    def applies(self, query: QueryPlan) -> bool:
        """Only without text."""
        return not query.text

    def _find(self, query: QueryPlan) -> list[RankedHit]:
        return [RankedHit(key, 0.0) for key in self._reader.listed(query.catalogue_filter, limit=self.depth)]


def code_candidates(query: QueryPlan) -> list[str]:
    """The texts that may be codes, most specific first: the query as a whole, then its tokens of kind code."""
    candidates: dict[str, None] = {}
    if query.text and len(query.text) <= _MAX_CODE_CHARACTERS:
        candidates[query.text] = None
    for token in query.analysed.tokens:
        if token.kind is TokenKind.CODE:
            candidates[token.text] = None
    return list(candidates)[:_MAX_CODES]
