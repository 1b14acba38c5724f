"""The catalogue over HTTP against a small application: what goes out, what comes back, and every way of failing."""

from decimal import Decimal
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr
from structlog.testing import capture_logs

from agent.catalogue.answers import money, on_hand
from agent.catalogue.remote import RemoteCatalogue
from agent.errors import CatalogueUnavailableError
from schemas.identity import TenantId

NORTE = TenantId("norte")
ITEM = {
    "sku": "MAR-1", "title": "Martillo de uña 8 oz", "unit": "pieza", "price": 104.9, "currency": "MXN", "stock": 7.0,
    "in_stock": True, "revision": 3, "attributes": {"peso": "8 oz"}, "images": ["https://img.example/m.jpg"],
}  # fmt: skip
ANSWER = {
    "hits": [{"item": ITEM, "score": 0.5, "signals": [{"retriever": "dense", "rank": 1, "raw_score": 0.87, "share": 1.0}]}],
    "total": 1, "truncated": False, "timings_ms": {}, "request_id": "r1",
}  # fmt: skip


class SearchApi:
    """A search API that answers what the test says."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.status = 200
        self.busy = 0
        self.rested: list[float] = []
        self.answer: dict[str, Any] = ANSWER
        self.app = FastAPI()

        @self.app.api_route("/{path:path}", methods=["GET", "POST"])
        async def everything(path: str, request: Request) -> Response:
            body = await request.json() if request.method == "POST" else dict(request.query_params)
            self.asked.append((path, request.headers.get("authorization", ""), body))
            if self.busy:
                self.busy -= 1
                return Response(status_code=429, headers={"Retry-After": "2"})
            known = path == "v1/search" or path.endswith("MAR-1")
            content = self.answer if path == "v1/search" else ITEM
            return httpx_response(self.status if known else 404, content)

    def catalogue(self) -> RemoteCatalogue:
        client = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://search")

        async def rest(seconds: float) -> None:
            self.rested.append(seconds)

        return RemoteCatalogue(client, {"norte": SecretStr("key-1")}, sleep=rest)


def httpx_response(status: int, content: dict[str, Any]) -> Response:
    return Response(httpx.Response(status, json=content).content, status, media_type="application/json")


@pytest.fixture
def api() -> SearchApi:
    return SearchApi()


@pytest.fixture(autouse=True)
def quiet():
    with capture_logs():
        yield


async def test_a_search_goes_out_with_the_tenants_key_and_its_filters(api) -> None:
    catalogue = api.catalogue()
    found = await catalogue.find(NORTE, "martillo", limit=5, brands=["Ferrum"], price_max=Decimal("150.50"))
    await catalogue.close()
    path, key, body = api.asked[0]
    assert (path, key) == ("v1/search", "Bearer key-1")
    assert (body["tenant"], body["text"], body["limit"], body["facets"]) == ("norte", "martillo", 5, False)
    assert body["filters"] == {"brand": ["Ferrum"], "in_stock": False, "price_max": 150.5}
    (hit,) = found.products
    assert (hit.product.price, hit.product.stock, hit.signals) == (Decimal("104.9"), Decimal(7), {"dense": 0.87})


async def test_searchs_own_doubt_is_weighed(api) -> None:
    assert (await api.catalogue().find(NORTE, "claw tool", limit=5)).confident
    api.answer = {**ANSWER, "low_confidence": "no product has all of these words"}
    found = await api.catalogue().find(NORTE, "claw tool", limit=5)
    assert not found.confident
    assert found.low_confidence == "no product has all of these words"


async def test_items_that_the_shop_does_not_have_are_left_out(api) -> None:
    items = await api.catalogue().items(NORTE, ["MAR-1", "NONE-9", "MAR-1"])
    assert list(items) == ["MAR-1"]
    assert len(api.asked) == 2


async def test_a_product_comes_under_the_spelling_that_was_asked_for(api) -> None:
    asked = "\u200bMAR-1"  # as an order of a release before may hold it
    items = await api.catalogue().items(NORTE, [asked])
    assert items[asked].sku == "MAR-1"


async def test_the_words_of_titles_are_the_vocabulary(api) -> None:
    assert await api.catalogue().vocabulary(NORTE, "mart", limit=1) == ["martillo"]


@pytest.mark.parametrize("status", [404, 429, 500, 503])
async def test_a_search_that_is_refused_is_said_to_be_unavailable(api, status: int) -> None:
    api.status = status
    with pytest.raises(CatalogueUnavailableError):
        await api.catalogue().find(NORTE, "martillo", limit=5)


async def test_a_search_api_that_is_busy_is_asked_again_after_as_long_as_it_says(api) -> None:
    api.busy = 2
    found = await api.catalogue().find(NORTE, "martillo", limit=5)
    assert len(found.products) == 1
    assert len(api.asked) == 3
    assert all(2 <= rest <= 3 for rest in api.rested)


async def test_one_that_stays_busy_is_asked_a_few_times_and_no_more(api) -> None:
    api.busy = 99
    with pytest.raises(CatalogueUnavailableError):
        await api.catalogue().find(NORTE, "martillo", limit=5)
    assert (len(api.asked), len(api.rested)) == (4, 3)


async def test_an_answer_in_another_form_is_refused(api) -> None:
    api.answer = {"results": []}
    with pytest.raises(CatalogueUnavailableError, match="another form"):
        await api.catalogue().find(NORTE, "martillo", limit=5)


async def test_a_search_api_that_is_away_is_unavailable() -> None:
    def away(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    client = httpx.AsyncClient(transport=httpx.MockTransport(away), base_url="http://search")
    with pytest.raises(CatalogueUnavailableError, match="ConnectError"):
        await RemoteCatalogue(client, {}).find(NORTE, "martillo", limit=5)


class TestOneBadProduct:
    def hit(self, sku: str, **changes: Any) -> dict[str, Any]:
        return {"item": {**ITEM, "sku": sku, **changes}, "score": 0.5, "signals": []}

    async def test_of_an_answer_is_left_out_and_the_others_are_there(self, api) -> None:
        bad = [self.hit("BAD-1", stock="many"), {"item": 3}, "a hit"]
        api.answer = {**ANSWER, "hits": [self.hit("A-1"), *bad, self.hit("A-2")]}
        counted = []
        catalogue = api.catalogue()
        catalogue._counted = lambda *labels: counted.append(labels)
        found = await catalogue.find(NORTE, "martillo", limit=5)
        assert [hit.product.sku for hit in found.products] == ["A-1", "A-2"]
        assert counted == [("catalogue answer", "unexpected")] * 3

    async def test_an_answer_of_which_no_hit_can_be_read_is_of_another_form(self, api) -> None:
        api.answer = {**ANSWER, "hits": [{"item": number} for number in range(8)]}
        with pytest.raises(CatalogueUnavailableError, match="another form"):
            await api.catalogue().find(NORTE, "martillo", limit=8)

    @pytest.mark.parametrize("answer", [(500, b"{}"), (200, b"not json"), (200, b'{"sku": 3}')])
    async def test_that_the_api_cannot_give_is_left_out_and_the_others_are_there(self, answer) -> None:
        def respond(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("BAD-1"):
                return httpx.Response(answer[0], content=answer[1])
            return httpx.Response(200, json={**ITEM, "sku": request.url.path.rpartition("/")[2]})

        client = httpx.AsyncClient(transport=httpx.MockTransport(respond), base_url="http://search")
        items = await RemoteCatalogue(client, {}).items(NORTE, ["A-1", "BAD-1", "A-2"])
        assert list(items) == ["A-1", "A-2"]

    async def test_an_api_that_is_overloaded_at_one_product_is_unavailable(self) -> None:
        client = httpx.AsyncClient(
            transport=httpx.MockTransport(lambda _request: httpx.Response(503)), base_url="http://search"
        )
        with pytest.raises(CatalogueUnavailableError):
            await RemoteCatalogue(client, {}).items(NORTE, ["A-1"])


@pytest.mark.parametrize(
    ("price", "expected"),
    [(104.9, "104.9"), (0.0, None), (-3.0, None), (1e300, None), (float("inf"), None), (float("nan"), None), (None, None),
     (1e-9, None), (0.1234567, "0.123457"), (100.0, "100")],
)  # fmt: skip
def test_a_price_is_an_amount_of_money_or_none(price: float | None, expected: str | None) -> None:
    assert money(price) == (None if expected is None else Decimal(expected))


def test_a_stock_that_no_store_holds_is_not_said() -> None:
    assert on_hand(float("inf")) is None
    assert on_hand(1e300) is None
    assert on_hand(-3.0) == -3
    assert on_hand(None) is None
