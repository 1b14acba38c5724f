"""`/v1/search` over HTTP: both forms, filters, pages, facets, tenants, signals."""

from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from schemas.api.search import SearchResponse
from schemas.identity import SkuKey
from tests.unit.query_api.app_under_test import CATALOGUE, Stores, document, serving


async def search(client, **body):
    answer = await client.post("/v1/search", json={"tenant": "norte", **body})
    assert answer.status_code == 200, answer.text
    return SearchResponse.model_validate_json(answer.content)


def skus(found):
    return [hit.item.sku for hit in found.hits]


async def test_a_search_answers_items_with_scores_and_signals(client):
    found = await search(client, text="tornillo m8x40")
    assert skus(found)[0] == "TOR-M8"
    best = found.hits[0]
    assert {signal.retriever for signal in best.signals} == {"text", "dense"}
    assert sum(signal.share for signal in best.signals) == pytest.approx(1)
    assert best.item.price == 0.5
    assert best.item.changed_at is not None


async def test_both_forms_give_the_same_answer(client):
    body = await search(client, text="tornillo", filters={"brand": ["Acme", "Bolt"], "price_max": 10}, limit=1)
    answer = await client.get(
        "/v1/search",
        params={"tenant": "norte", "q": "tornillo", "brand": ["Acme", "Bolt"], "price_max": 10, "limit": 1},
    )
    volatile = {"timings_ms", "request_id"}
    query = SearchResponse.model_validate_json(answer.content)
    assert query.model_dump(exclude=volatile) == body.model_dump(exclude=volatile)


@pytest.mark.parametrize("code", ["DCD-777", "dcd777", "a/b 1", "TOR-M8"])
async def test_a_code_comes_first_with_its_signal(client, code):
    found = await search(client, text=code)
    assert found.hits[0].signals[0].retriever == "code"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"TOR-M8", "TOR-M6", "A/B 1", "LIJA"}),
        ({"brand": ["ACME"]}, {"TOR-M8", "A/B 1"}),
        ({"category": ["Fijaciones", "abrasivos"]}, {"TOR-M8", "TOR-M6", "LIJA"}),
        ({"in_stock": True}, {"TOR-M8", "A/B 1", "LIJA"}),
        ({"price_min": 0.5}, {"TOR-M8", "A/B 1"}),
        ({"price_min": 0.25, "price_max": 0.5}, {"TOR-M8", "TOR-M6"}),
        ({"brand": ["nobody"]}, set()),
    ],
)
async def test_every_hit_meets_the_filters_with_text_and_without(client, filters, expected):
    listed = await search(client, filters=filters)
    assert set(skus(listed)) == expected
    assert listed.total == len(expected)
    searched = await search(client, text="tornillo", filters=filters)
    assert set(skus(searched)) <= expected


async def test_deleted_products_are_never_found(client):
    assert "GONE" not in skus(await search(client, text="tornillo descatalogado"))
    assert "GONE" not in skus(await search(client, text="GONE"))


async def test_tenants_never_see_each_other(client):
    assert "SUR-1" not in skus(await search(client, text="SUR-1"))
    assert skus(await search(client, tenant="sur", text="tornillo")) == ["SUR-1"]
    assert skus(await search(client, tenant="nobody", text="tornillo")) == []


async def test_pages_join_up(client):
    whole = skus(await search(client, text="tornillo", limit=100))
    pages = [skus(await search(client, text="tornillo", limit=1, offset=place)) for place in range(len(whole) + 1)]
    assert pages == [[sku] for sku in whole] + [[]]


async def test_facets_agree_with_the_result_set(client):
    found = await search(client, limit=1)
    assert found.facets is not None
    assert found.facets.in_stock + found.facets.out_of_stock == found.total == 4
    assert {one.value: one.count for one in found.facets.brands} == {"Acme": 2, "Bolt": 1}
    for facet, name in ((found.facets.brands, "brand"), (found.facets.categories, "category")):
        for one in facet:
            assert (await search(client, filters={name: [one.value]})).total == one.count
    assert sum(bucket.count for bucket in found.facets.prices) == 3


async def test_facets_can_be_left_out(client):
    assert (await search(client, facets=False)).facets is None


@pytest.mark.parametrize(
    "text", ["!!!", "\x00", "😀" * 500, "1/2\" x 3'", "\u202e\u0000abc", "AND OR NOT (*:*)", "%' --"]
)
async def test_no_text_breaks_the_search(client, text):
    await search(client, text=text)


async def test_a_search_writes_one_canonical_line_without_anything_about_the_caller(client):
    with capture_logs() as logs:
        await client.post(
            "/v1/search", json={"tenant": "norte", "text": "tornillo"}, headers={"User-Agent": "secret-agent"}
        )
    lines = [line for line in logs if line["event"] == "search answered"]
    assert len(lines) == 1
    assert lines[0]["text"] == "tornillo"
    assert lines[0]["top_sku"]
    assert lines[0]["total_ms"] > 0
    assert "secret-agent" not in str(logs)


async def test_the_query_text_stays_out_of_the_log_where_the_setting_says_so(stores):
    async with serving(stores.app(http={"log_query_text": False})) as client:
        with capture_logs() as logs:
            await client.post("/v1/search", json={"tenant": "norte", "text": "tornillo"})
    assert "tornillo" not in str([line for line in logs if line["event"] == "search answered"])


async def test_a_change_in_the_replica_is_visible_without_a_restart(client, stores):
    new = stores.reader.fetch([stores._documents[0].key])[stores._documents[0].key]
    changed = new.model_copy(update={"rev": 2, "price": 0.75})
    checkpoint = stores.writer.checkpoint()
    stores.writer.apply([changed], checkpoint)
    for _ in range(1000):
        answer = (await client.get("/v1/items/TOR-M8", params={"tenant": "norte"})).json()
        if answer["price"] == 0.75:
            return
    raise AssertionError("the change never became visible")


@pytest.mark.parametrize("spelling", ["TUERCA-N\u0303-6", "TUERCA-\u00d1-6", "\ufeffTUERCA-\u200b\u00d1-6"])
async def test_a_product_is_found_by_every_spelling_of_its_sku(spelling):
    stores = Stores([document(SkuKey.of("norte", "TUERCA-\u00d1-6").sku, title="Contratuerca"), *CATALOGUE])
    await stores.embed()
    async with serving(stores.app()) as caller:
        item = await caller.get(f"/v1/items/{quote(spelling)}", params={"tenant": "norte"})
        assert item.json()["title"] == "Contratuerca"
        found = (await caller.post("/v1/search", json={"tenant": "norte", "text": spelling})).json()
        assert found["hits"][0]["item"]["title"] == "Contratuerca"
        assert "code" in {signal["retriever"] for signal in found["hits"][0]["signals"]}
        told = await caller.post("/v1/search", json={"tenant": "norte", "text": "lija", "why_not": spelling})
        assert told.json()["why_not"]["sku"] == "TUERCA-\u00d1-6"
