"""A sparse encoder behind the API: signals, explain, status, and a collection that was written with another one."""

from retrieval.testing import HashingEncoder, HashingSparseEncoder
from schemas.api.search import SearchResponse
from schemas.api.status import StatusResponse
from tests.unit.query_api.app_under_test import Stores, serving

PATIENT = {"deadline_s": 30, "hydration_deadline_s": 30}


async def test_hits_and_explanation_name_it_and_the_status_its_model():
    stores = Stores(sparse=HashingSparseEncoder())
    await stores.embed()
    async with serving(stores.app(search=PATIENT)) as client:
        answer = await client.post(
            "/v1/search", json={"tenant": "norte", "text": "tornillo hexagonal", "explain": True}
        )
        status = StatusResponse.model_validate_json((await client.get("/v1/status")).content)
        metrics = (await client.get("/metrics")).text
    found = SearchResponse.model_validate_json(answer.content)
    assert {signal.retriever for signal in found.hits[0].signals} == {"text", "dense", "sparse"}
    (told,) = [one for one in found.explanation.retrievers if one.retriever == "sparse"]
    assert (told.weight, told.found) == (1.0, 2)
    assert status.encoder.sparse == f"hashing-sparse ({HashingSparseEncoder().revision.id})"
    assert 'stage="sparse"' in metrics


async def test_a_worker_whose_sparse_encoder_is_not_the_collections_is_not_ready():
    stores = Stores(sparse=HashingSparseEncoder())
    await stores.embed()
    for other in (HashingEncoder(64), HashingEncoder(64, sparse=HashingSparseEncoder(9))):
        stores.encoder = other
        async with serving(stores.app(), ready=False) as client:
            for _ in range(200):
                answer = await client.get("/readyz")
                if "vectors: " in answer.text and "not answered yet" not in answer.text:
                    break
        assert answer.status_code == 503
        assert "encoder" in answer.text
