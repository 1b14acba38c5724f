"""The catalogue in process: the same searcher that answers `/v1/search`, of whichever generation is live."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Final, Unpack

from agent.catalogue.answers import STAGE, Counted, Readings, is_confident, product_of, uncounted
from agent.conversation.products import Found, FoundProduct, Product
from agent.errors import CatalogueUnavailableError
from agent.ports import Narrowing
from retrieval.analysis.pipeline import surface_words
from retrieval.filters import CatalogueFilter
from retrieval.search.query import Hit, SearchQuery, SearchResult
from retrieval.serving.searcher import Searcher
from retrieval.text.port import TextIndexReader
from runtime.isolation import Isolation, concerns_one
from runtime.retry import TRIES, Backoff, BackoffPolicy, retry
from schemas.documents import SearchDocument
from schemas.errors import InvalidEventError, NotReadyError, OverloadedError, RetryableError
from schemas.identity import SkuKey, TenantId

_BACKOFF: Final = BackoffPolicy(base_s=0.2, cap_s=0.8)
_STEM_LETTERS: Final = 4
_WORDS_LOOKED_UP: Final = 6


class LocalCatalogue:
    """`CatalogueSearch` over searchers, which the caller owns: each question leases the one that answers."""

    def __init__(self, lease: Callable[[], AbstractContextManager[Searcher]], *, counted: Counted = uncounted) -> None:
        self._lease = lease
        self._isolation = Isolation(STAGE)
        self._counted = counted

    async def find(self, tenant: TenantId, text: str, *, limit: int, **narrowed: Unpack[Narrowing]) -> Found:
        """Search in process; the page carries no facets, which cost more than the search."""
        price_max = narrowed.get("price_max")
        catalogue_filter = CatalogueFilter.of(
            tenant,
            brand=narrowed.get("brands", ()),
            price_max=None if price_max is None else float(price_max),
            in_stock=narrowed.get("in_stock", False),
        )
        try:
            result = await self._found(SearchQuery(text, catalogue_filter, limit=limit, facets=False))
        except (NotReadyError, RetryableError) as error:
            raise CatalogueUnavailableError(str(error)) from error
        hits = Readings(self._isolation, result.hits, name=lambda hit: hit.document.sku, counted=self._counted)
        products = tuple(hits.read(_found))
        low_confidence = result.low_confidence or ""
        confident = is_confident(text, products, low_confidence=bool(low_confidence))
        return Found(products, confident, result.total, tuple(map(str, result.degraded)), low_confidence)

    async def _found(self, query: SearchQuery) -> SearchResult:
        """Search; while the encoder is busy, again after a moment, a few times: a person waits, but for seconds."""

        async def search() -> SearchResult:
            with self._lease() as searcher:
                return await searcher.hybrid.search(query)

        return await retry(
            search, "the encoder is busy", backoff=Backoff(_BACKOFF), errors=OverloadedError, attempts=TRIES
        )

    async def items(self, tenant: TenantId, skus: Sequence[str]) -> Mapping[str, Product]:
        """Read from the text replica, which holds every living product whole."""
        keys: dict[str, SkuKey] = {}
        for sku in skus:
            with suppress(InvalidEventError):  # a text that cannot be a SKU names no product
                keys[sku] = SkuKey.of(tenant, sku)
        if not keys:
            return {}
        try:
            with self._lease() as searcher:
                documents = await asyncio.to_thread(self._fetch, searcher.reader, list(dict.fromkeys(keys.values())))
        except (NotReadyError, RetryableError) as error:
            raise CatalogueUnavailableError(str(error)) from error
        living = [document for document in documents if not document.deleted]
        read = Readings(self._isolation, living, name=lambda document: document.sku, counted=self._counted)
        products = {product.sku: product for product in read.read(product_of)}
        return {sku: products[key.sku] for sku, key in keys.items() if key.sku in products}

    async def vocabulary(self, tenant: TenantId, text: str, *, limit: int) -> list[str]:
        """Words of the catalogue that begin as the text's words do."""
        try:
            with self._lease() as searcher:
                return await asyncio.to_thread(_words, searcher.reader, tenant, text, limit)
        except (NotReadyError, RetryableError) as error:
            raise CatalogueUnavailableError(str(error)) from error

    def _fetch(self, reader: TextIndexReader, keys: Sequence[SkuKey]) -> list[SearchDocument]:
        """All at once, or one by one where that fails, so that only what cannot be read is left out."""
        try:
            return list(reader.fetch(keys).values())
        except Exception as error:
            if not concerns_one(error):
                raise
        each = Readings(self._isolation, keys, name=lambda key: key.sku, counted=self._counted)
        return [document for found in each.read(lambda key: reader.fetch([key])) for document in found.values()]


def _found(hit: Hit) -> FoundProduct:
    return FoundProduct(
        product_of(hit.document),
        hit.score,
        {str(signal.retriever): signal.raw_score for signal in hit.signals},
    )


def _words(reader: TextIndexReader, tenant: TenantId, text: str, limit: int) -> list[str]:
    words = list(dict.fromkeys(surface_words(text)))[:_WORDS_LOOKED_UP]
    found: dict[str, int] = {}
    each = max(1, limit // max(1, len(words)))
    for word in words:
        found.update(reader.vocabulary(tenant, word[:_STEM_LETTERS], limit=each))
    return sorted(found, key=lambda term: (-found[term], term))[:limit]
