"""Every failure is problem details: the right status, a stable code, a request id, and nothing of the inside."""

import json

import pytest

from retrieval.vectors.spaces import spaces_of
from runtime.http.problems import TITLES
from schemas.api.problems import PROBLEM_MEDIA_TYPE, Problem
from schemas.errors import StoreUnavailableError
from tests.unit.query_api.app_under_test import Stores, serving


def problem(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == PROBLEM_MEDIA_TYPE
    found = Problem.model_validate_json(answer.content)
    assert (found.status, found.code, found.type) == (status, code, f"urn:ferroflux:problem:{code}")
    assert found.request_id == answer.headers["X-Request-Id"]
    assert "Traceback" not in answer.text
    return found


BODY = {"tenant": "norte", "text": "tornillo"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"tenant": ""}, "tenant"),
        ({"tenant": "a/b"}, "tenant"),
        ({"tenant": None}, "tenant"),
        ({"text": "x" * 513}, "text"),
        ({"text": 7}, "text"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 1001}, "offset"),
        ({"filters": {"brand": ["b"] * 51}}, "filters.brand"),
        ({"filters": {"brand": [""]}}, "filters.brand.0"),
        ({"filters": {"category": ["c" * 257]}}, "filters.category.0"),
        ({"filters": {"price_min": -1}}, "filters.price_min"),
        ({"filters": {"price_min": 2, "price_max": 1}}, "filters"),
        ({"filters": {"colour": "red"}}, "filters.colour"),
        ({"filter": {}}, "filter"),
    ],
)
async def test_a_field_out_of_bounds_is_named(client, change, field):
    found = problem(await client.post("/v1/search", json=BODY | change), 422, "invalid_request")
    assert [one.field for one in found.errors or ()] == [field]


@pytest.mark.parametrize("query", ["", "tenant=norte&limit=x", "tenant=norte&query=x", "tenant=norte&price_min=nan"])
async def test_a_query_string_is_held_to_the_same_bounds(client, query):
    problem(await client.get(f"/v1/search?{query}"), 422, "invalid_request")


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"[1", b'{"tenant": "norte", "text": "\\ud800"}'])
async def test_a_body_that_is_not_json_is_a_problem(client, content):
    answer = await client.post("/v1/search", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    problem(answer, answer.status_code, "malformed_body" if answer.status_code == 400 else "invalid_request")


async def test_a_body_that_announces_too_much_is_refused(client):
    answer = await client.post("/v1/search", content=json.dumps(BODY | {"text": "x" * 70_000}))
    problem(answer, 413, "content_too_large")


async def test_a_body_that_grows_too_large_without_announcing_it_is_cut(client):
    async def stream():
        for _ in range(100):
            yield b" " * 4096

    headers = {"Content-Type": "application/json"}
    problem(await client.post("/v1/search", content=stream(), headers=headers), 413, "content_too_large")


async def test_unknown_paths_and_methods(client):
    problem(await client.get("/v2/search"), 404, "not_found")
    answer = await client.delete("/v1/search")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, POST"


@pytest.mark.parametrize("sku", ["NOBODY", "GONE", "SUR-1"])
async def test_a_product_that_is_not_there_is_deleted_or_is_another_tenants_is_not_found(client, sku):
    problem(await client.get(f"/v1/items/{sku}", params={"tenant": "norte"}), 404, "not_found")


@pytest.mark.parametrize("sku", ["%01", "x" * 257, "%20"])
async def test_a_sku_that_cannot_be_is_invalid(client, sku):
    problem(await client.get(f"/v1/items/{sku}", params={"tenant": "norte"}), 422, "invalid_request")


async def test_a_worker_that_holds_too_many_searches_refuses_with_a_time_to_return(stores):
    async with serving(stores.app(http={"max_in_flight": 1})) as client:
        held = []

        async def search_while_held(*_args, **_kwargs):
            held.append(await client.post("/v1/search", json=BODY))
            return []

        stores.vectors.search = search_while_held
        await client.post("/v1/search", json=BODY)
    problem(held[0], 429, "too_many_requests")
    assert held[0].headers["Retry-After"] == "1"


async def test_a_store_that_is_away_degrades_the_answer_and_keeps_its_address_to_itself(stores):
    async def away(*_args, **_kwargs):
        raise StoreUnavailableError("http://secret-host:6334 refused")

    async with serving(stores.app()) as client:
        stores.vectors.search = away
        answer = (await client.post("/v1/search", json=BODY)).json()
        assert answer["degraded"] == [{"retriever": "dense", "reason": "unavailable"}]
        stores.reader.search = stores.reader.lookup_code = lambda *_a, **_k: (_ for _ in ()).throw(
            StoreUnavailableError("http://secret-host:6334 refused")
        )
        refused = await client.post("/v1/search", json=BODY)
    problem(refused, 503, "search_unavailable")
    assert "secret-host" not in refused.text


async def test_a_defect_shows_nothing_but_the_request_id(stores):
    async with serving(stores.app()) as client:
        stores.reader.fetch = lambda _keys: 1 / 0
        answer = await client.get("/v1/items/TOR-M8", params={"tenant": "norte"})
    found = problem(answer, 500, "internal_error")
    assert "division" not in answer.text
    assert found.request_id


async def test_a_usable_request_id_is_kept_and_another_is_replaced(client):
    assert (await client.get("/healthz", headers={"X-Request-Id": "trace-12345"})).headers[
        "X-Request-Id"
    ] == "trace-12345"
    for unusable in ("short", "x" * 65, "with blank in it", "<script>"):
        assert (await client.get("/healthz", headers={"X-Request-Id": unusable})).headers["X-Request-Id"] != unusable


async def test_a_worker_that_is_not_ready_says_what_it_waits_for():
    stores = Stores()
    await stores.vectors.prepare(
        spaces_of(type(stores.encoder)(dimension=32).revision)
    )  # another encoder wrote the collection
    async with serving(stores.app(), ready=False) as client:
        assert (await client.get("/healthz")).status_code == 200
        for _ in range(200):
            answer = await client.get("/readyz")
            if "never mix" in answer.text or "encoder" in answer.text:
                break
        problem(answer, 503, "not_ready")
        refused = await client.post("/v1/search", json=BODY)
        problem(refused, 503, "not_ready")
        assert refused.headers["Retry-After"] == "1"
        assert (await client.get("/v1/status")).json()["waiting_for"].keys() >= {"vectors"}


async def test_what_a_worker_waits_for_names_no_host(stores):
    async def away(_revision):
        raise StoreUnavailableError("http://secret-host:6334 refused")

    stores.vectors.prepare = away
    async with serving(stores.app(), ready=False) as client:
        while "vector store did not answer" not in (answer := await client.get("/readyz")).text:
            pass
        assert "secret-host" not in answer.text + (await client.get("/v1/status")).text


def test_every_code_has_a_title():
    assert all(title and not title.endswith(".") for title in TITLES.values())
