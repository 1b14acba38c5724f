"""Hand-written stand-ins for what a search needs from outside."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from retrieval.aliases.live import LiveAliases
from retrieval.analysis.tokens import AnalysedText, Token, TokenKind
from retrieval.filters import CatalogueFilter, meets
from retrieval.search.hybrid import HybridSearcher
from retrieval.search.planning.knowledge import ReplicaKnowledge
from retrieval.search.planning.plan import QueryPlan
from retrieval.search.planning.planner import QueryPlanner
from retrieval.search.ranking.fusion import RankedHit
from retrieval.search.settings import SearchSettings
from retrieval.testing import HashingEncoder
from retrieval.text.port import TextHit
from retrieval.vectors.port import VectorHit
from schemas.api.explain import RetrieverName
from schemas.documents import SearchDocument
from schemas.errors import StoreUnavailableError
from schemas.identity import SkuKey, TenantId

WITHIN = CatalogueFilter(TenantId("t"))


def document(sku: str, **fields) -> SearchDocument:
    return SearchDocument(**{"tenant": "t", "sku": sku, "rev": 1, "state": "0", "title": sku, **fields})


def analyse(text: str) -> AnalysedText:
    """Words as tokens; a word with a digit is a code."""
    words = [word for word in text.casefold().split() if any(map(str.isalnum, word))]
    kinds = [TokenKind.CODE if any(map(str.isdigit, word)) else TokenKind.WORD for word in words]
    tokens = [Token(word, kind, place) for place, (word, kind) in enumerate(zip(words, kinds, strict=True))]
    return AnalysedText(text, tuple(tokens))


class ShelfReader:
    """A text index over a few documents: a product matches by the number of query words in its title."""

    def __init__(self, *documents: SearchDocument) -> None:
        self.documents = {one.key: one for one in documents}
        self.looked_up: list[str] = []

    def search(self, query, *, catalogue_filter, limit):
        words = {token.text for clause in query.clauses for one in clause.alternatives for token in one.tokens}
        scored = [
            TextHit(key, float(len(words & set(one.title.casefold().split()))))
            for key, one in sorted(self.documents.items())
            if meets(one, catalogue_filter)
        ]
        return sorted((hit for hit in scored if hit.score), key=lambda hit: (-hit.score, hit.key))[:limit]

    def listed(self, catalogue_filter, *, limit):
        return sorted(key for key, one in self.documents.items() if meets(one, catalogue_filter))[:limit]

    def lookup_code(self, code, *, catalogue_filter, limit):
        self.looked_up.append(code)
        return [key for key, one in self.documents.items() if meets(one, catalogue_filter) and key.sku == code][:limit]

    def excluded(self, keys, query):
        words = {token.text for one in query.excluded for token in one.tokens}
        titles = {key: one.title.casefold().split() for key, one in self.documents.items()}
        return frozenset(key for key in keys if words & set(titles.get(key, ())))

    def meets_all(self, query, *, catalogue_filter):
        return bool(self.search(query, catalogue_filter=catalogue_filter, limit=1))

    def count_with(self, tokens, *, catalogue_filter):
        words = {token.text for token in tokens}
        return sum(
            words <= set(one.title.casefold().split())
            for one in self.documents.values()
            if meets(one, catalogue_filter)
        )

    def vocabulary(self, tenant, prefix="", *, limit=None):
        words = {w for one in self.documents.values() if one.tenant == tenant for w in one.title.casefold().split()}
        return [(word, 1) for word in sorted(words) if word.startswith(prefix)][:limit]

    def matching(self, keys, catalogue_filter):
        return frozenset(key for key in keys if key in self.documents and meets(self.documents[key], catalogue_filter))

    def fetch(self, keys):
        return {key: self.documents[key] for key in keys if key in self.documents}


class ListedVectors:
    """A vector index that answers with a fixed list, a delay, or an error."""

    def __init__(self, *skus: str, delay_s: float = 0, error: Exception | None = None) -> None:
        self.skus = skus
        self.delay_s = delay_s
        self.error = error

    async def search(self, vector, *, using, catalogue_filter, limit):
        await asyncio.sleep(self.delay_s)
        if self.error:
            raise self.error
        return [
            VectorHit(SkuKey.of(catalogue_filter.tenant, sku), 0.9 - place / 100) for place, sku in enumerate(self.skus)
        ][:limit]


class CountingEncoder(HashingEncoder):
    """Counts the queries that it encodes and remembers on which threads."""

    def __init__(self) -> None:
        super().__init__(8)
        self.encoded: list[str] = []
        self.threads: set[str] = set()

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded.extend(texts)
        self.threads.add(threading.current_thread().name)
        return super().encode_queries(texts)


class ScriptedRetriever:
    """A retriever that gives a list, waits, or fails."""

    def __init__(self, retriever=RetrieverName.TEXT, skus=(), *, error=None, delay_s=0.0, depth=10, applies=True):
        self.name = retriever
        self.depth = depth
        self._skus = skus
        self._error = error
        self._delay_s = delay_s
        self._applies = applies

    def applies(self, query: QueryPlan) -> bool:
        return self._applies

    async def find(self, query: QueryPlan):
        await asyncio.sleep(self._delay_s)
        if self._error:
            raise self._error
        return [RankedHit(SkuKey.of("t", sku), 1.0) for sku in self._skus]


def searcher(reader, *, vectors=None, encoder=None, reranker=None, **settings) -> HybridSearcher:
    return HybridSearcher.over(
        vectors=vectors or ListedVectors(),
        encoder=encoder or CountingEncoder(),
        reader=reader,
        analyse=analyse,
        settings=SearchSettings(**settings),
        reranker=reranker,
    )


def scripted_searcher(reader, *retrievers, **settings) -> HybridSearcher:
    planner = QueryPlanner(ReplicaKnowledge(reader, LiveAliases()), analyse)
    return HybridSearcher(retrievers, reader, planner, SearchSettings(**settings), reading=ThreadPoolExecutor(1))


STORE_AWAY = StoreUnavailableError("qdrant at 10.0.0.1 is away")
