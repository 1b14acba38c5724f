"""A reranker behind the API: hits, the report, explain, why_not, status, metrics, and a model that cannot be loaded."""

import time

import pytest

from retrieval.testing import OverlapReranker
from schemas.api.search import SearchResponse
from schemas.api.status import StatusResponse
from tests.unit.query_api.app_under_test import Stores, serving

RERANK = {"budget_ms": 10_000}


class Backwards(OverlapReranker):
    """The worse the overlap, the better the score."""

    def score(self, query, passages):
        return -super().score(query, passages)


@pytest.fixture
async def stores():
    made = Stores()
    await made.embed()
    return made


async def search(client, **body):
    answer = await client.post("/v1/search", json={"tenant": "norte", **body})
    assert answer.status_code == 200, answer.text
    return SearchResponse.model_validate_json(answer.content)


async def test_hits_are_reranked_and_everything_says_so(stores):
    app = stores.app(reranker=Backwards(), search={"rerank": RERANK, "weights": {"code": 0}})
    async with serving(app) as client:
        plain = [hit.item.sku for hit in (await search(client, text="tornillo hexagonal")).hits]
        found = await search(client, text="tornillo hexagonal", explain=True, why_not="TOR-M8", limit=1)
        status = StatusResponse.model_validate_json((await client.get("/v1/status")).content)
        metrics = (await client.get("/metrics")).text
    assert plain[-2:] == ["TOR-M6", "TOR-M8"] or plain[-2:] == ["TOR-M8", "TOR-M6"]
    assert (found.reranked.model, found.reranked.scored, found.reranked.of) == ("overlap", 4, 4)
    told = found.explanation.rerank
    assert [move.after for move in told.moves] == [1, 2, 3, 4]
    assert {move.sku for move in told.moves[2:]} == {"TOR-M6", "TOR-M8"}
    assert (found.hits[0].rerank.after, found.hits[0].rerank.before) == (1, told.moves[0].before)
    assert found.why_not.verdict == "on_another_page"
    assert "the reranker moved it from place" in found.why_not.reason
    assert (status.reranker.model, status.reranker.depth, status.reranker.budget_ms) == ("overlap", 32, 10_000)
    assert 'ferroflux_rerank_candidates_total{outcome="scored"} 8.0' in metrics
    assert 'ferroflux_search_stage_seconds_count{stage="rerank"} 2.0' in metrics


async def test_a_reranker_that_fails_is_reported_and_counted(stores):
    class Failing(OverlapReranker):
        def score(self, query, passages):
            raise ValueError("defect")

    async with serving(stores.app(reranker=Failing(), search={"rerank": RERANK})) as client:
        found = await search(client, text="tornillo hexagonal")
        metrics = (await client.get("/metrics")).text
    assert found.hits
    assert (found.reranked.scored, found.reranked.failed) == (0, True)
    assert 'ferroflux_rerank_partial_total{reason="failed"} 1.0' in metrics


async def test_without_one_nothing_is_reranked(client):
    found = await search(client, text="tornillo hexagonal", explain=True)
    assert (found.reranked, found.explanation.rerank, found.hits[0].rerank) == (None, None, None)
    assert StatusResponse.model_validate_json((await client.get("/v1/status")).content).reranker is None


async def test_a_worker_whose_reranker_cannot_be_loaded_is_not_ready(stores, tmp_path):
    app = stores.app(search={"rerank": {"model": str(tmp_path / "nothing")}})
    async with serving(app, ready=False) as client:
        for _ in range(200):
            answer = await client.get("/readyz")
            if "reranker: " in answer.text and "being loaded" not in answer.text:
                break
    assert answer.status_code == 503
    assert "reranker" in answer.text


async def test_a_worker_is_never_ready_without_its_searcher(stores):
    class Slow(Stores):
        def app(self, **settings):
            made = super().app(**settings)
            models = made.state.context.searchers._models
            load = models.reranker

            def slowly():
                time.sleep(0.2)
                return load()

            models.reranker = slowly
            return made

    slow = Slow()
    await slow.embed()
    async with serving(slow.app()) as client:
        assert (await search(client, text="tornillo")).hits
