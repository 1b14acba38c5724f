"""Explain, why not, analyze, suggest, similar and aliases over HTTP."""

import pytest

from tests.unit.query_api.app_under_test import serving

pytestmark = pytest.mark.slow


async def search(client, **body):
    answer = await client.post("/v1/search", json={"tenant": "norte", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_explained_search_tells_every_step(client):
    found = await search(client, text="dame 3 tornilos m8x40", explain=True)
    told = found["explanation"]
    assert found["did_you_mean"] == "tornillo m8x40"
    assert found["quantity"] == {"count": 3, "package": ""}
    assert told["corrections"][0]["written"] == "tornilos"
    assert told["type"] == "dimension"
    assert told["route"] == "full"
    assert {one["retriever"] for one in told["retrievers"]} >= {"text", "dense"}
    assert told["retrievers"][0]["weight"] > 0
    assert told["fusion"].startswith("rrf")


async def test_nothing_is_explained_unasked(client):
    found = await search(client, text="tornillo")
    assert (found["explanation"], found["why_not"], found["did_you_mean"]) == (None, None, None)


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ({"text": "tornillo", "why_not": "TOR-M8"}, "shown"),
        ({"text": "tornillo", "why_not": "GONE"}, "deleted"),
        ({"text": "tornillo", "why_not": "SUR-1"}, "not_indexed"),
        ({"text": "tornillo", "why_not": "TOR-M8", "filters": {"brand": ["Bolt"]}}, "filtered"),
        ({"text": "tornillo", "why_not": "TOR-M6", "filters": {"in_stock": True}}, "filtered"),
        ({"text": "tornillo que no sea acme", "why_not": "TOR-M8"}, "excluded"),
        ({"text": "TOR-M8", "why_not": "LIJA"}, "not_retrieved"),
        ({"text": "tornillo hexagonal", "why_not": "LIJA", "limit": 1}, "on_another_page"),
    ],
)
async def test_why_a_product_is_not_there(client, body, verdict):
    told = (await search(client, **body))["why_not"]
    assert told["verdict"] == verdict
    assert told["reason"]


async def test_one_code_is_answered_by_its_lookup_alone(client):
    found = await search(client, text="TOR-M8", explain=True)
    assert [hit["item"]["sku"] for hit in found["hits"]] == ["TOR-M8"]
    assert found["explanation"]["route"] == "code"


async def test_what_the_shop_does_not_sell_is_flagged(client):
    assert (await search(client, text="xilofono"))["low_confidence"]
    assert (await search(client, text="tornillo hexagonal"))["low_confidence"] is None


async def test_facets_agree_with_what_is_ruled_out(client):
    found = await search(client, text="tornillo que no sea acme")
    assert "Acme" not in {value["value"] for value in found["facets"]["brands"]}
    assert found["total"] == sum(value["count"] for value in found["facets"]["brands"]) + sum(
        not hit["item"]["brand"] for hit in found["hits"]
    )


async def test_analyze_shows_stages_and_plan_without_searching(client):
    answer = await client.post("/v1/analyze", json={"tenant": "norte", "text": '2 codos de 1½"'})
    told = answer.json()
    assert told["folded"] == '2 codos de 1 1/2"'
    assert told["searched"] == 'codos de 1 1/2"'
    assert {"38.1mm"} <= {token["text"] for token in told["tokens"]}


async def test_suggestions_complete_the_last_word_with_those_before_it(client):
    async def suggested(typed):
        answer = await client.get("/v1/suggest", params={"tenant": "norte", "q": typed})
        return [one["text"] for one in answer.json()["suggestions"]]

    assert (await suggested("tor"))[0] == "tornillo"
    assert await suggested("tornillo hex") == ["tornillo hexagonal"]
    assert await suggested("lija hex") == []
    assert await suggested("tornillo ") == []


async def test_similar_items_are_living_neighbours_without_the_item_itself(client):
    answer = await client.get("/v1/items/A/B 1/similar", params={"tenant": "norte", "limit": 2})
    skus = [one["item"]["sku"] for one in answer.json()["items"]]
    assert len(skus) == 2
    assert "A/B 1" not in skus
    assert (await client.get("/v1/items/GONE/similar", params={"tenant": "norte"})).status_code == 404


async def test_complements_come_with_the_rule_and_the_reason(client):
    answer = await client.get("/v1/items/A/B 1/complements", params={"tenant": "norte", "limit": 3})
    items = answer.json()["items"]
    assert {one["item"]["sku"] for one in items} == {"TOR-M8", "TOR-M6"}
    assert items[0]["item"]["sku"] == "TOR-M8", "what is in stock comes first"
    assert (items[0]["reason"], items[0]["thing"]) == ("va con taladro percutor", "tornillo")
    assert items[0]["rule"] == "complements:taladro"
    assert (await client.get("/v1/items/GONE/complements", params={"tenant": "norte"})).status_code == 404


async def test_the_alias_entries_of_a_tenant_are_listed(client):
    entries = (await client.get("/v1/aliases", params={"tenant": "norte"})).json()
    assert len(entries) > 400
    proposed = await client.get("/v1/aliases", params={"tenant": "norte", "status": "proposed"})
    assert proposed.json() == []


async def test_a_key_is_asked_for_everywhere(stores):
    keys = {"api_keys": {"norte": ["0123456789abcdef"]}}
    async with serving(stores.app(http=keys)) as caller:
        for path in (
            "/v1/suggest?tenant=norte&q=t",
            "/v1/aliases?tenant=norte",
            "/v1/items/LIJA/similar?tenant=norte",
            "/v1/items/LIJA/complements?tenant=norte",
        ):
            assert (await caller.get(path)).status_code == 401
