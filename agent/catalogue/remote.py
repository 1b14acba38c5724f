"""The catalogue over HTTP: a search API by its address, with the tenant's key where it asks for one.

A product that the API cannot give, or that this version cannot read, is left out of its answer and no reason to lose the
others: a conversation whose order holds it goes on.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, Unpack
from urllib.parse import quote

import httpx
import structlog
from pydantic import SecretStr, ValidationError

from agent.catalogue.answers import STAGE, Counted, Readings, is_confident, product_of, uncounted
from agent.conversation.products import Found, FoundProduct, Product
from agent.errors import CatalogueUnavailableError
from agent.ports import Narrowing
from retrieval.analysis.pipeline import surface_words
from runtime.clock import Sleep
from runtime.isolation import Isolation
from runtime.retry import TRIES, rest_s
from schemas.api.items import Item
from schemas.api.limits import MAX_TEXT
from schemas.api.search import SearchHit, SearchResponse
from schemas.errors import PoisonError
from schemas.identity import TenantId

log = structlog.get_logger(__name__)

_AT_A_TIME: Final = 8
_REST_S: Final = 0.5
_VOCABULARY_HITS: Final = 20


class UnreadableProductError(PoisonError):
    """The search API cannot give this product, or gives it in another form than this version knows. The others are there; see the API's log for the product."""

    code = "unreadable_product"


class RemoteCatalogue:
    """`CatalogueSearch` over `/v1/search` and `/v1/items`. Close it at the end."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        keys: Mapping[str, SecretStr],
        *,
        sleep: Sleep = asyncio.sleep,
        counted: Counted = uncounted,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._rng = random.Random()  # noqa: S311 - spreads clients in time, no secret
        self._keys = keys
        self._isolation = Isolation(STAGE)
        self._counted = counted
        self._items_at_a_time = asyncio.Semaphore(_AT_A_TIME)

    async def find(self, tenant: TenantId, text: str, *, limit: int, **narrowed: Unpack[Narrowing]) -> Found:
        """Ask the search API, without facets."""
        filters: dict[str, Any] = {
            "brand": list(narrowed.get("brands", ())),
            "in_stock": narrowed.get("in_stock", False),
        }
        if (price_max := narrowed.get("price_max")) is not None:
            filters["price_max"] = float(price_max)
        body = {"tenant": tenant, "text": text[:MAX_TEXT], "filters": filters, "limit": limit, "facets": False}
        answer = await self._call("POST", "/v1/search", tenant, json=body)
        if answer is None:
            raise CatalogueUnavailableError("the search API has no /v1/search: check agent.catalogue.url")
        found, products = self._answer(answer)
        degraded = tuple(str(one.retriever) for one in found.degraded)
        low_confidence = found.low_confidence or ""
        return Found(
            products,
            is_confident(text, products, low_confidence=bool(low_confidence)),
            found.total,
            degraded,
            low_confidence,
        )

    async def items(self, tenant: TenantId, skus: Sequence[str]) -> Mapping[str, Product]:
        """Ask for each product; those that the tenant does not have are left out."""
        wanted = list(dict.fromkeys(skus))
        answers = await asyncio.gather(*(self._item(tenant, sku) for sku in wanted))
        given = [(sku, answer) for sku, answer in zip(wanted, answers, strict=True) if answer is not None]
        read = Readings(self._isolation, given, name=lambda each: each[0], counted=self._counted)
        return dict(read.read(lambda each: (each[0], _item_product(each[1]))))

    async def vocabulary(self, tenant: TenantId, text: str, *, limit: int) -> list[str]:
        """The words of the titles that a search for the text finds, most frequent first."""
        found = await self.find(tenant, text, limit=_VOCABULARY_HITS)
        words = Counter(word for one in found.products for word in surface_words(one.product.title))
        return [word for word, _ in words.most_common(limit)]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _answer(self, answer: bytes) -> tuple[SearchResponse, tuple[FoundProduct, ...]]:
        """The answer, and its products: read as a whole, or hit by hit where that fails."""
        try:
            found = SearchResponse.model_validate_json(answer)
            hits: Sequence[object] = found.hits
        except ValidationError:
            found, hits = _hit_by_hit(answer)
        read = Readings(self._isolation, hits, name=_hit_name, counted=self._counted)
        return found, tuple(read.read(lambda hit: _found(SearchHit.model_validate(hit))))

    async def _item(self, tenant: TenantId, sku: str) -> bytes | None:
        """The answer about one product; empty where the API failed at it."""
        async with self._items_at_a_time:
            return await self._call("GET", f"/v1/items/{quote(sku, safe='')}", tenant, params={"tenant": tenant})

    async def _call(self, method: str, path: str, tenant: TenantId, **options: Any) -> bytes | None:
        """The answer's body; None for 404, and for a text that the API takes for no SKU.

        Empty where the API failed by a defect at one product: it may be well with all others.
        """
        key = self._keys.get(tenant)
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key is not None else {}
        response = await self._asked(method, path, headers=headers, **options)
        missing = (
            {httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY} if method == "GET" else {httpx.codes.NOT_FOUND}
        )
        if response.status_code in missing:
            return None
        if method == "GET" and response.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
            return b""
        if not response.is_success:
            log.warning("search refused", status=response.status_code, path=path.partition("/items/")[0])
            raise CatalogueUnavailableError(f"the search API answered {response.status_code}")
        return response.content

    async def _asked(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask; an API that is busy is asked again after as long as it says, a few times: a person waits, but for seconds."""
        for left in range(TRIES - 1, -1, -1):
            try:
                response = await self._client.request(method, path, **options)
            except httpx.TransportError as error:
                raise CatalogueUnavailableError(f"the search API did not answer: {type(error).__name__}") from error
            if response.status_code != httpx.codes.TOO_MANY_REQUESTS or not left:
                break
            await self._sleep(rest_s(response.headers.get("Retry-After"), _REST_S, self._rng))
        return response


def _hit_by_hit(answer: bytes) -> tuple[SearchResponse, list[object]]:
    """The answer without its hits, and these as they came."""
    try:
        document = json.loads(answer)
        hits = document.pop("hits")
        found = SearchResponse.model_validate({**document, "hits": ()})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CatalogueUnavailableError("the search API answers in another form than this version knows") from error
    if not isinstance(hits, list):
        raise CatalogueUnavailableError("the search API answers in another form than this version knows")
    return found, hits


def _hit_name(hit: object) -> str:
    """Which product a hit is, as far as it can be told."""
    if isinstance(hit, SearchHit):
        return hit.item.sku
    item = hit.get("item") if isinstance(hit, dict) else None
    return str(item.get("sku", ""))[:80] if isinstance(item, dict) else ""


def _item_product(answer: bytes) -> Product:
    try:
        return product_of(Item.model_validate_json(answer))
    except ValidationError as error:
        raise UnreadableProductError from error


def _found(hit: SearchHit) -> FoundProduct:
    return FoundProduct(
        product_of(hit.item), hit.score, {str(signal.retriever): signal.raw_score for signal in hit.signals}
    )
