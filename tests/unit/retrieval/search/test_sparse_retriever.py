"""The sparse retriever in a search: there only with an encoder, weighted, explained, and left out when it fails."""

import numpy as np
import pytest

from retrieval.encoders.port import SparseVector
from retrieval.passages import passage_text
from retrieval.search.query import SearchQuery
from retrieval.search.retrievers.fanout import DegradedReason
from retrieval.search.retrievers.query_encoders import mean
from retrieval.testing import HashingEncoder, HashingSparseEncoder
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointPayload, PointWrite
from retrieval.vectors.spaces import SPARSE_VECTOR, TEXT_VECTOR, spaces_of
from schemas.api.explain import RetrieverName
from tests.unit.retrieval.search.doubles import STORE_AWAY, WITHIN, ShelfReader, document, searcher

SHELF = [document("a", title="red bolt"), document("b", title="blue bolt"), document("c", title="garden hose")]


class Counting(HashingSparseEncoder):
    def __init__(self) -> None:
        super().__init__()
        self.encoded: list[str] = []

    def encode_queries(self, texts):
        self.encoded.extend(texts)
        return super().encode_queries(texts)


def patient(reader, **parts):
    """A busy machine must not change what is found."""
    return searcher(reader, deadline_s=30, hydration_deadline_s=30, **parts)


async def index_of(encoder) -> MemoryIndex:
    index = MemoryIndex()
    await index.prepare(spaces_of(encoder.revision))
    for one in SHELF:
        vectors = {TEXT_VECTOR: encoder.encode_passages([passage_text(one)])[0]}
        if encoder.sparse is not None:
            vectors[SPARSE_VECTOR] = encoder.sparse.encode_passages([passage_text(one)])[0]
        await index.write([PointWrite(one.key, None, PointPayload(1, alive=True, state=b"{}"), vectors)])
    return index


async def test_a_hit_names_the_words_among_its_signals():
    encoder = HashingEncoder(8, sparse=Counting())
    search = patient(
        ShelfReader(*SHELF), vectors=await index_of(encoder), encoder=encoder, weights={"text": 0, "dense": 0}
    )
    result = await search.search(SearchQuery("red bolt", WITHIN))
    assert [hit.document.sku for hit in result.hits] == ["a", "b"]
    (signal,) = result.hits[0].signals
    assert (signal.retriever, signal.rank) == (RetrieverName.SPARSE, 1)
    assert signal.raw_score == pytest.approx(2 * np.log(2) ** 2, abs=1e-5)
    assert "sparse" in result.timings_ms
    assert {outcome.retriever for outcome in result.trace.outcomes} >= {RetrieverName.SPARSE}


async def test_without_a_sparse_encoder_there_is_no_such_leg():
    encoder = HashingEncoder(8)
    search = patient(ShelfReader(*SHELF), vectors=await index_of(encoder), encoder=encoder)
    result = await search.search(SearchQuery("red bolt", WITHIN))
    assert "sparse" not in result.timings_ms


async def test_a_weight_of_nothing_leaves_it_unasked():
    sparse = Counting()
    encoder = HashingEncoder(8, sparse=sparse)
    search = patient(ShelfReader(*SHELF), vectors=await index_of(encoder), encoder=encoder, weights={"sparse": 0})
    await search.search(SearchQuery("red bolt", WITHIN))
    assert not sparse.encoded


async def test_a_query_is_encoded_once():
    sparse = Counting()
    encoder = HashingEncoder(8, sparse=sparse)
    search = patient(ShelfReader(*SHELF), vectors=await index_of(encoder), encoder=encoder)
    for _ in range(3):
        await search.search(SearchQuery("red bolt", WITHIN))
    assert sparse.encoded == ["red bolt"]


@pytest.mark.parametrize(
    ("error", "reason"), [(STORE_AWAY, DegradedReason.UNAVAILABLE), (ValueError("defect"), DegradedReason.FAILED)]
)
async def test_where_it_fails_the_others_answer(error, reason):
    class Failing(MemoryIndex):
        async def search(self, vector, *, using, catalogue_filter, limit):
            if using == SPARSE_VECTOR:
                raise error
            return await super().search(vector, using=using, catalogue_filter=catalogue_filter, limit=limit)

    encoder = HashingEncoder(8, sparse=Counting())
    result = await patient(ShelfReader(*SHELF), vectors=Failing(), encoder=encoder).search(
        SearchQuery("red bolt", WITHIN)
    )
    assert [hit.document.sku for hit in result.hits] == ["a", "b"]
    assert result.degraded == {RetrieverName.SPARSE: reason}


def test_the_mean_ranks_by_the_mean_of_the_products():
    one = SparseVector(np.array([1, 5], np.uint32), np.array([1.0, 2.0], np.float32))
    other = SparseVector(np.array([5, 9], np.uint32), np.array([4.0, 6.0], np.float32))
    both = mean([one, other])
    assert both.indices.tolist() == [1, 5, 9]
    assert both.values.tolist() == [0.5, 3.0, 3.0]
    assert mean([one]) is one
