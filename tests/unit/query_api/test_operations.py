"""Status, readiness, metrics, items, tenants, the page, and the OpenAPI document."""

import asyncio
import os
import re
import threading
import time
from pathlib import Path

import jsonschema
import pytest

import query_api
from query_api.bootstrap import build_app
from query_api.settings import ApiSettings
from retrieval.serving.replica_status import FreshnessSample, PartitionProgress, ReplicaStatus, write_status
from schemas.api.problems import Problem
from schemas.api.search import SearchRequest
from schemas.api.status import StatusResponse
from schemas.errors import ConfigurationError
from tests.support.waiting import eventually
from tests.unit.query_api.app_under_test import Stores, document, serving

pytestmark = pytest.mark.slow

PAGE = Path(query_api.__file__).parent / "page"


async def test_status_counts_documents_coverage_and_tenants(client):
    status = StatusResponse.model_validate_json((await client.get("/v1/status")).content)
    assert status.ready
    assert status.worker == os.getpid()
    assert status.catalogue is not None
    assert (status.catalogue.documents, status.catalogue.deleted, status.catalogue.vectors) == (5, 1, 5)
    assert status.catalogue.embedding.share == 1.0
    assert (status.catalogue.images.products, status.catalogue.by_tenant) == (1, {"norte": 4, "sur": 1})
    assert status.encoder is not None
    assert status.encoder.model == "hashing"


async def test_all_who_ask_for_the_state_within_a_second_share_one_count_of_thousands_of_tenants(monkeypatch):
    stores = Stores([document(f"S{number}", tenant=f"shop-{number}") for number in range(2_000)])
    asked, read = [], []
    count, products = stores.vectors.counts, stores.reader.products

    async def counted(tenant=None):
        asked.append(tenant)
        return await count(tenant)

    monkeypatch.setattr(stores.vectors, "counts", counted)
    monkeypatch.setattr(stores.reader, "products", lambda: read.append(1) or products())
    async with serving(stores.app()) as client:
        await eventually(lambda: read)
        asked.clear()
        answers = await asyncio.gather(*(client.get("/v1/status") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert answers[0].json()["catalogue"]["documents"] == 2_000
    assert len(asked) <= 2  # of all tenants, and of the one that is nobody's
    assert len(read) <= 2


async def test_counts_of_one_caller_are_never_anothers(stores):
    keys = {"norte": ["north-key-0123456789"], "sur": ["south-key-0123456789"]}
    async with serving(stores.app(http={"api_keys": keys})) as client:
        bearers = [{"Authorization": f"Bearer {keys[tenant][0]}"} for tenant in ("norte", "sur") * 4]
        answers = await asyncio.gather(*(client.get("/v1/status", headers=one) for one in bearers))
    shown = [answer.json()["catalogue"]["by_tenant"] for answer in answers]
    assert shown == [{"norte": 4}, {"sur": 1}] * 4


async def test_a_worker_is_ready_before_it_has_learnt_its_tenants_and_learns_the_largest_first(stores, monkeypatch):
    go, learnt = threading.Event(), []
    vocabulary = stores.reader.vocabulary

    def slowly(tenant, *args, **kwargs):
        learnt.append(tenant)
        assert go.wait(10)
        return vocabulary(tenant, *args, **kwargs)

    monkeypatch.setattr(stores.reader, "vocabulary", slowly)
    async with serving(stores.app()) as client:  # returns when the worker is ready
        assert (await client.get("/v1/items/TOR-M8", params={"tenant": "norte"})).status_code == 200
        await eventually(lambda: learnt == ["norte"])
        search = asyncio.create_task(client.get("/v1/search", params={"tenant": "sur", "q": "tornillo"}))
        await eventually(lambda: learnt == ["norte", "sur"])  # who asks does not wait for the one before
        go.set()
        assert (await search).json()["total"] == 1


def now_us():
    return time.time_ns() // 1000


def report(*, caught_up=True, samples=()):
    return ReplicaStatus(
        log_id="log",
        topic="catalog.documents",
        pid=1,
        started_us=1,
        written_us=now_us(),
        caught_up=caught_up,
        partitions=(PartitionProgress(partition=0, position=5, end=8),),
        samples=samples,
    )


async def test_a_worker_is_ready_only_when_its_replica_is_whole(stores, tmp_path):
    app = stores.app(tailed=True, text={"directory": tmp_path})
    async with serving(app, ready=False) as client:
        while "no tailer has reported" not in (await client.get("/readyz")).text:
            pass
        write_status(tmp_path, report(caught_up=False))
        while "catching up: 3 records" not in (await client.get("/readyz")).text:
            pass
        write_status(tmp_path, report())
        while (await client.get("/readyz")).status_code != 200:
            pass


async def test_a_worker_that_answers_says_what_its_replica_set_apart_and_how_it_ended(stores, tmp_path):
    write_status(tmp_path, report())
    async with serving(stores.app(tailed=True, text={"directory": tmp_path})) as client:
        ready = (await client.get("/readyz")).json()
        assert (ready["degraded"], ready["set_apart"]) == ({}, {})
        apart = {"partly_indexed": 2, "malformed_document": 1}
        ended = report().model_copy(update={"set_apart": apart, "letters_waiting": 3, "ended": "11 of 20 failed"})
        write_status(tmp_path, ended)
        while not (ready := (await client.get("/readyz")).json())["degraded"]:
            pass
        assert ready["ready"]
        assert ready["set_apart"] == apart
        assert ready["degraded"]["set apart"].startswith("1 malformed_document, 2 partly_indexed; `ferroflux dlq list`")
        assert "11 of 20 failed" in ready["degraded"]["replica"]
        status = (await client.get("/v1/status")).json()
        assert status["degraded"] == ready["degraded"]
        assert status["replica"]["set_apart"] == apart
        assert (status["replica"]["letters_waiting"], status["replica"]["ended"]) == (3, "11 of 20 failed")


async def test_status_reports_lag_by_partition_and_measured_freshness(stores, tmp_path):
    write_status(tmp_path, report())
    async with serving(stores.app(tailed=True, text={"directory": tmp_path})) as client:
        committed = now_us()
        times = FreshnessSample(committed - 90_000, committed - 50_000, committed - 9_000, committed)
        write_status(tmp_path, report(samples=(times,)))
        measured = None
        while measured is None:
            status = (await client.get("/v1/status")).json()
            measured = status["freshness"]["changed_to_visible_ms"]
        assert status["replica"]["partitions"] == [{"partition": 0, "position": 5, "end": 8, "lag": 3}]
        assert not status["replica"]["stale"]
        assert measured["samples"] == 1
        assert measured["p50"] >= 90
        metrics = (await client.get("/metrics")).text
        assert "ferroflux_replica_lag_records 3.0" in metrics
        assert 'ferroflux_freshness_seconds{quantile="0.5",stage="changed"}' in metrics


async def test_metrics_count_routes_and_stages_without_naming_a_tenant_or_sku(client):
    await client.post("/v1/search", json={"tenant": "norte", "text": "tornillo"})
    await client.get("/v1/items/TOR-M8", params={"tenant": "norte"})
    text = (await client.get("/metrics")).text
    assert 'ferroflux_http_requests_total{method="POST",route="/v1/search",status="200"} 1.0' in text
    assert 'route="/v1/items/{sku:path}"' in text
    assert 'ferroflux_search_stage_seconds_count{stage="dense"} 1.0' in text
    assert "norte" not in text
    assert "TOR-M8" not in text


async def test_an_item_is_given_by_its_sku_even_with_slashes_and_blanks(client):
    for path in ("/v1/items/A/B%201", "/v1/items/A%2FB%201"):
        answer = await client.get(path, params={"tenant": "norte"})
        assert answer.status_code == 200
        assert answer.json()["part_number"] == "DCD-777"


@pytest.mark.parametrize("word", ["similar", "complements"])
async def test_a_sku_that_ends_in_a_word_of_the_path_is_read_with_its_slash_encoded(word):
    stores = Stores([document(f"A/{word}", title="Codo"), document("A", title="Tee")])
    await stores.embed()
    async with serving(stores.app()) as client:
        for slash in ("%2F", "%2f"):
            answer = await client.get(f"/v1/items/A{slash}{word}?tenant=norte")
            assert (answer.status_code, answer.json().get("sku")) == (200, f"A/{word}")
            of_it = await client.get(f"/v1/items/A{slash}{word}/{word}", params={"tenant": "norte"})
            assert (of_it.status_code, "items" in of_it.json()) == (200, True)
        of_the_other = await client.get(f"/v1/items/A/{word}", params={"tenant": "norte"})
        assert (of_the_other.status_code, "items" in of_the_other.json()) == (200, True)


async def test_tenants_are_those_with_products(client):
    assert (await client.get("/v1/tenants")).json() == {"tenants": ["norte", "sur"]}


async def test_the_page_and_its_files_load_nothing_from_elsewhere(client):
    page = await client.get("/")
    assert page.headers["Content-Type"].startswith("text/html")
    named = set(re.findall(r'(?:src|href)="(assets/[^"]+)"', page.text))
    named |= {f"assets/{path.name}" for path in PAGE.glob("*.js")}
    assert len(named) > 5
    for name in named:
        asset = await client.get(f"/{name}")
        assert asset.status_code == 200
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", asset.text.replace('"https://"', ""))
    assert "<style" not in page.text
    assert not re.search(r"\son\w+=", page.text)


@pytest.mark.parametrize("name", ["../settings.py", "index.html", "nothing.js", "..%2Fsettings.py"])
async def test_only_the_pages_own_files_are_served(client, name):
    assert (await client.get(f"/assets/{name}")).status_code == 404


def words_of(language, source):
    block = source[source.index(f"  {language}: {{") :]
    block = block[: block.index("\n  },")]
    return set(re.findall(r"(?:^|[,{]\s+)(\w+): (?=[\"({])", block, re.MULTILINE))


def test_the_page_says_everything_in_both_languages():
    source = (PAGE / "messages.js").read_text()
    assert words_of("es", source) == words_of("en", source)
    used = set(re.findall(r'data-message="(\w+)"', (PAGE / "index.html").read_text()))
    assert used <= words_of("es", source)


async def test_the_page_can_be_switched_off(stores):
    async with serving(stores.app(http={"page": False})) as client:
        assert (await client.get("/")).status_code == 404


async def test_openapi_examples_validate_and_every_failure_is_a_problem(client):
    document = (await client.get("/openapi.json")).json()
    for name, schema in document["components"]["schemas"].items():
        resolvable = {**schema, "components": document["components"]}
        for example in schema.get("examples", ()):
            jsonschema.validate(example, resolvable)
            assert name in {"SearchRequest", "Item", "Problem"}
    for example in document["components"]["schemas"]["SearchRequest"]["examples"]:
        SearchRequest.model_validate(example)
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    content = response["content"]["application/problem+json"]
                    assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                    Problem.model_validate(content["example"])


def test_an_api_of_its_own_refuses_the_store_of_another_process():
    with pytest.raises(ConfigurationError, match="FERROFLUX_VECTORS__KIND=qdrant"):
        build_app(ApiSettings(vectors={"kind": "edge"}))
