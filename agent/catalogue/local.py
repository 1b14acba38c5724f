"""The catalogue in process: the same searcher and text replica that answer `/v1/search`."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from agent.catalogue.confidence import is_confident
from agent.errors import CatalogueUnavailableError
from agent.ports import Found, FoundProduct, Product
from retrieval.analysis.pipeline import surface_words
from retrieval.filters import CatalogueFilter, fold_keyword
from retrieval.search.hybrid import HybridSearcher
from retrieval.search.query import Hit, SearchQuery, SearchResult
from retrieval.text.port import TextIndexReader
from runtime.retry_after import TRIES, rest_s
from schemas.documents import SearchDocument
from schemas.errors import InvalidEventError, NotReadyError, OverloadedError, RetryableError
from schemas.identity import SkuKey, TenantId

_REST_S: Final = 0.3
_STEM_LETTERS: Final = 4
_WORDS_LOOKED_UP: Final = 6


class LocalCatalogue:
    """`CatalogueSearch` over a searcher and a reader, which the caller owns.

    Both are given as functions, so that a worker that is not ready yet refuses by itself.
    """

    def __init__(self, searcher: Callable[[], HybridSearcher], reader: Callable[[], TextIndexReader]) -> None:
        self._searcher = searcher
        self._reader = reader
        self._rng = random.Random()  # noqa: S311 - spreads turns in time, no secret

    async def find(
        self,
        tenant: TenantId,
        text: str,
        *,
        limit: int,
        brands: Sequence[str] = (),
        price_max: Decimal | None = None,
        in_stock: bool = False,
    ) -> Found:
        """Search in process; the page carries no facets, which cost more than the search."""
        within = CatalogueFilter(
            tenant,
            brands=frozenset(map(fold_keyword, brands)),
            price_max=None if price_max is None else float(price_max),
            in_stock=in_stock,
        )
        try:
            result = await self._found(SearchQuery(text, within, limit=limit, facets=False))
        except (NotReadyError, RetryableError) as error:
            raise CatalogueUnavailableError(str(error)) from error
        products = tuple(_found(hit) for hit in result.hits)
        doubt = result.low_confidence or ""
        confident = is_confident(text, products, doubted=bool(doubt))
        return Found(products, confident, result.total, tuple(map(str, result.degraded)), doubt)

    async def _found(self, query: SearchQuery) -> SearchResult:
        """Search; while the encoder is busy, again after a moment, a few times: a person waits, but for seconds."""
        for left in range(TRIES - 1, -1, -1):
            try:
                return await self._searcher().search(query)
            except OverloadedError:
                if not left:
                    raise
            await asyncio.sleep(rest_s(None, _REST_S, self._rng))
        raise AssertionError("the last try returns or raises")

    async def items(self, tenant: TenantId, skus: Sequence[str]) -> Mapping[str, Product]:
        """Read from the text replica, which holds every living product whole."""
        keys = []
        for sku in dict.fromkeys(skus):
            try:
                keys.append(SkuKey.of(tenant, sku))
            except InvalidEventError:
                continue  # a text that cannot be a SKU names no product
        if not keys:
            return {}
        try:
            documents = await asyncio.to_thread(self._reader().fetch, keys)
        except (NotReadyError, RetryableError) as error:
            raise CatalogueUnavailableError(str(error)) from error
        return {key.sku: product_of(document) for key, document in documents.items() if not document.deleted}

    async def vocabulary(self, tenant: TenantId, text: str, *, limit: int) -> list[str]:
        """Words of the catalogue that begin as the text's words do."""
        try:
            return await asyncio.to_thread(self._words, tenant, text, limit)
        except (NotReadyError, RetryableError) as error:
            raise CatalogueUnavailableError(str(error)) from error

    def _words(self, tenant: TenantId, text: str, limit: int) -> list[str]:
        reader = self._reader()
        words = list(dict.fromkeys(surface_words(text)))[:_WORDS_LOOKED_UP]
        found: dict[str, int] = {}
        each = max(1, limit // max(1, len(words)))
        for word in words:
            found.update(reader.vocabulary(tenant, word[:_STEM_LETTERS], limit=each))
        return sorted(found, key=lambda term: (-found[term], term))[:limit]


def product_of(document: SearchDocument) -> Product:
    """A stored document as the agent's product. Shops write 0 where they have no price, so 0 is none."""
    return Product(
        sku=document.sku,
        title=document.title,
        brand=document.brand,
        category=document.category,
        unit=document.unit,
        price=money(document.price),
        currency=document.currency,
        stock=None if document.stock is None else exact(document.stock),
        image=document.images[0] if document.images else "",
        attributes={name: str(value) for name, value in document.attributes.items()},
    )


def money(price: float | None) -> Decimal | None:
    """A price, exactly as the catalogue has it; None where there is none, or only a zero in its place."""
    return None if price is None or price <= 0 or not math.isfinite(price) else exact(price)


def exact(number: float) -> Decimal:
    """The shortest decimal that is this float."""
    return Decimal(repr(number)).normalize() if number != int(number) else Decimal(int(number))


def _found(hit: Hit) -> FoundProduct:
    return FoundProduct(
        product_of(hit.document),
        hit.score,
        {str(signal.retriever): signal.raw_score for signal in hit.signals},
    )
