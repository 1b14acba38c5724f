"""The baselines: plain BM25, the encoder alone, and their plain reciprocal rank fusion, all over the bench's documents."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from retrieval.filters import CatalogueFilter
from retrieval.vectors.port import TEXT_VECTOR
from schemas.identity import TenantId
from training.systems.bench import Bench
from training.systems.plain_bm25 import PlainBm25, language_of, plain_analysis, plain_text
from training.systems.port import RankedAnswer, SearchSystem

_RRF_K: Final = 60.0
"""As in the paper on reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009)."""


class BaselineKind(StrEnum):
    """Which baseline."""

    BM25 = "bm25"
    DENSE = "dense"
    RRF = "rrf"


def baseline(kind: BaselineKind, bench: Bench) -> SearchSystem:
    """A baseline over the bench; indexes of plain BM25 are built per tenant as they are first asked for."""
    if kind is BaselineKind.BM25:
        return Bm25System(bench)
    if kind is BaselineKind.DENSE:
        return DenseSystem(bench)
    return RrfSystem(Bm25System(bench), DenseSystem(bench))


@dataclass(frozen=True, slots=True)
class _Shop:
    skus: tuple[str, ...]
    index: PlainBm25


class Bm25System:
    """Plain BM25, stemmed in the language of the tenant's titles."""

    name = "BM25 (plain)"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._shops: dict[TenantId, _Shop] = {}

    async def answer(self, text: str, tenant: TenantId, limit: int) -> RankedAnswer:
        """The best texts."""
        shop = self._shop(tenant)
        started = time.perf_counter()
        skus = [shop.skus[row] for row, _ in shop.index.best(text, limit)]
        return _answer(skus, "bm25", started)

    def close(self) -> None:
        """Nothing is held open."""

    def _shop(self, tenant: TenantId) -> _Shop:
        shop = self._shops.get(tenant)
        if shop is None:
            documents = [document for key, document in sorted(self._bench.documents.items()) if key.tenant == tenant]
            analyse = plain_analysis(language_of(document.title for document in documents))
            index = PlainBm25([plain_text(document) for document in documents], analyse)
            shop = self._shops[tenant] = _Shop(tuple(str(document.sku) for document in documents), index)
        return shop


class DenseSystem:
    """Nearest neighbours of the query's vector."""

    name = "dense"

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def answer(self, text: str, tenant: TenantId, limit: int) -> RankedAnswer:
        """Encode and compare."""
        started = time.perf_counter()
        vector = self._bench.encoder.encode_queries([text])[0]
        hits = await self._bench.vectors.search(
            vector, using=TEXT_VECTOR, catalogue_filter=CatalogueFilter(tenant), limit=limit
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
