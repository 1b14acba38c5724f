"""Hybrid search: retrievers side by side, degraded answers, the replica's last word, pages and facets."""

import asyncio

import pytest

from retrieval.filters import CatalogueFilter
from retrieval.search.hybrid import normalise_query
from retrieval.search.query import SearchQuery
from retrieval.search.retrievers.fanout import DegradedReason, SearchUnavailableError
from retrieval.search.settings import SearchSettings
from schemas.api.explain import RetrieverName
from schemas.errors import OverloadedError
from schemas.identity import SkuKey, TenantId
from tests.unit.retrieval.search.doubles import (
    STORE_AWAY,
    WITHIN,
    CountingEncoder,
    ListedVectors,
    ScriptedRetriever,
    ShelfReader,
    document,
    scripted_searcher,
    searcher,
)

SHELF = [document("a", title="red bolt", brand="Acme", price=1.0), document("b", title="blue bolt", price=5.0, stock=0)]


def skus(result):
    return [hit.document.sku for hit in result.hits]


async def test_a_hit_carries_the_signals_of_every_retriever_that_found_it():
    search = searcher(ShelfReader(*SHELF), vectors=ListedVectors("b", "a"))
    result = await search.search(SearchQuery("red bolt", WITHIN))
    assert skus(result) == ["a", "b"]
    signals = {signal.retriever: (signal.rank, signal.raw_score) for signal in result.hits[0].signals}
    assert signals == {RetrieverName.TEXT: (1, 2.0), RetrieverName.DENSE: (2, pytest.approx(0.89))}
    assert set(result.timings_ms) == {"analyse", "code", "text", "dense", "fuse", "hydrate", "facets", "total"}


async def test_a_code_typed_whole_comes_first():
    search = searcher(ShelfReader(*SHELF, document("X-1", title="other")), vectors=ListedVectors("a", "b"))
    result = await search.search(SearchQuery("X-1", WITHIN))
    assert skus(result)[0] == "X-1"
    assert result.hits[0].signals[0].retriever is RetrieverName.CODE


async def test_code_tokens_inside_a_query_are_looked_up_after_the_whole_text():
    reader = ShelfReader(*SHELF)
    await searcher(reader).search(SearchQuery("bolt ab12 for me", WITHIN))
    assert reader.looked_up == ["bolt ab12 for me", "ab12"]


async def test_empty_text_lists_what_meets_the_filter_without_encoding_anything():
    encoder = CountingEncoder()
    search = searcher(ShelfReader(*SHELF), encoder=encoder)
    result = await search.search(SearchQuery("  ", CatalogueFilter.of(TenantId("t"), in_stock=True)))
    assert skus(result) == ["a"]
    assert [signal.retriever for signal in result.hits[0].signals] == [RetrieverName.LIST]
    assert not encoder.encoded


async def test_punctuation_alone_does_not_list_the_catalogue():
    result = await searcher(ShelfReader(*SHELF)).search(SearchQuery("!!!", WITHIN))
    assert skus(result) == []


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        (ListedVectors("a", delay_s=5), DegradedReason.DEADLINE),
        (ListedVectors(error=STORE_AWAY), DegradedReason.UNAVAILABLE),
        (ListedVectors(error=ValueError("defect")), DegradedReason.FAILED),
    ],
)
async def test_a_retriever_that_fails_is_reported_and_the_others_answer(vectors, reason):
    search = searcher(ShelfReader(*SHELF), vectors=vectors, deadline_s=0.5)
    result = await search.search(SearchQuery("bolt", WITHIN))
    assert skus(result) == ["a", "b"]
    assert result.degraded == {RetrieverName.DENSE: reason}


async def test_a_search_that_the_encoder_has_no_time_for_is_refused_and_not_answered_without_its_vectors():
    retrievers = [
        ScriptedRetriever(RetrieverName.TEXT, ["a"]),
        ScriptedRetriever(RetrieverName.DENSE, error=OverloadedError()),
    ]
    with pytest.raises(OverloadedError):
        await scripted_searcher(ShelfReader(*SHELF), *retrievers).search(SearchQuery("bolt", WITHIN))


async def test_when_every_retriever_fails_the_search_fails():
    search = scripted_searcher(
        ShelfReader(),
        ScriptedRetriever(RetrieverName.TEXT, error=STORE_AWAY),
        ScriptedRetriever(RetrieverName.DENSE, error=STORE_AWAY),
    )
    with pytest.raises(SearchUnavailableError, match="text: unavailable, dense: unavailable"):
        await search.search(SearchQuery("bolt", WITHIN))


async def test_retrievers_run_side_by_side():
    meeting = asyncio.Barrier(2)

    class MeetingRetriever(ScriptedRetriever):
        async def find(self, query):
            await meeting.wait()
            return await super().find(query)

    retrievers = [MeetingRetriever(name, ["a"]) for name in (RetrieverName.TEXT, RetrieverName.DENSE)]
    result = await scripted_searcher(ShelfReader(*SHELF), *retrievers).search(SearchQuery("bolt", WITHIN))
    assert not result.degraded


async def test_a_neighbour_that_the_replica_no_longer_has_is_not_shown():
    shelf = [SHELF[0], document("dead", deleted=True), document("dear", price=99.0)]
    search = searcher(ShelfReader(*shelf), vectors=ListedVectors("gone", "dead", "dear", "a"))
    cheap = CatalogueFilter.of(TenantId("t"), price_max=10.0)
    for facets in (True, False):
        result = await search.search(SearchQuery("bolt", cheap, facets=facets))
        assert (skus(result), result.total) == (["a"], 1)


async def test_a_document_that_dies_between_the_check_and_the_read_is_not_shown():
    class Racing(ShelfReader):
        def fetch(self, keys):
            return {key: one.model_copy(update={"deleted": True}) for key, one in super().fetch(keys).items()}

    result = await searcher(Racing(*SHELF)).search(SearchQuery("bolt", WITHIN, facets=False))
    assert skus(result) == []


async def test_a_hit_of_another_tenant_is_never_shown():
    foreign = document("a", tenant="other", title="red bolt")
    reader = ShelfReader(foreign)
    reader.documents[SkuKey.of("t", "a")] = foreign
    for facets in (True, False):
        result = await searcher(reader, vectors=ListedVectors("a")).search(SearchQuery("bolt", WITHIN, facets=facets))
        assert skus(result) == []


async def test_pages_cut_the_same_list():
    shelf = ShelfReader(*[document(f"s{n:02}", title="bolt") for n in range(25)])
    search = searcher(shelf, vectors=ListedVectors(*[f"s{n:02}" for n in reversed(range(25))]))
    whole = skus(await search.search(SearchQuery("bolt", WITHIN, limit=100)))
    pages = [await search.search(SearchQuery("bolt", WITHIN, limit=10, offset=at)) for at in (0, 10, 20, 30)]
    assert [sku for page in pages for sku in skus(page)] == whole
    assert {page.total for page in pages} == {25}


async def test_a_retriever_at_its_depth_marks_the_answer_as_truncated():
    shelf = ShelfReader(*[document(f"s{n}", title="bolt") for n in range(6)])
    assert (await searcher(shelf, depth=5).search(SearchQuery("bolt", WITHIN))).truncated
    assert not (await searcher(shelf, depth=50).search(SearchQuery("bolt", WITHIN))).truncated


async def test_facets_count_all_candidates_and_not_only_the_page():
    result = await searcher(ShelfReader(*SHELF)).search(SearchQuery("bolt", WITHIN, limit=1))
    assert result.facets is not None
    assert (result.total, result.facets.in_stock, result.facets.out_of_stock) == (2, 1, 1)
    assert result.facets.brands == (("Acme", 1),)


async def test_a_repeated_query_is_encoded_once_and_off_the_event_loop():
    encoder = CountingEncoder()
    search = searcher(ShelfReader(*SHELF), encoder=encoder)
    for text in ("bolt", " bolt ", "bolt"):
        await search.search(SearchQuery(text, WITHIN))
    assert encoder.encoded == ["bolt"]
    assert all(name.startswith("query-encoder") for name in encoder.threads)


@pytest.mark.parametrize("name", ["query_cache_bytes", "query_vector_cache"])
async def test_without_bytes_no_vector_is_kept_also_by_the_name_of_the_release_before(name):
    encoder = CountingEncoder()
    search = searcher(ShelfReader(*SHELF), encoder=encoder, **{name: 0})
    for text in ("bolt", "nut", "bolt"):
        await search.search(SearchQuery(text, WITHIN))
    assert encoder.encoded == ["bolt", "nut", "bolt"]


def test_a_number_of_vectors_as_the_release_before_counted_is_read_as_bytes():
    assert SearchSettings.model_validate({"query_vector_cache": "4096"}).query_cache_bytes == 4096 * 2048


async def test_a_retriever_of_weight_zero_is_not_run():
    encoder = CountingEncoder()
    search = searcher(ShelfReader(*SHELF), encoder=encoder, weights={RetrieverName.DENSE: 0})
    await search.search(SearchQuery("bolt", WITHIN))
    assert not encoder.encoded


async def test_cancelling_a_search_cancels_its_retrievers():
    search = scripted_searcher(ShelfReader(), ScriptedRetriever(delay_s=60))
    task = asyncio.create_task(search.search(SearchQuery("bolt", WITHIN)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("raw", "normalised"),
    [(" a \t b ", "a b"), ("a\x00b", "a b"), ("cafe\u0301", "café"), ("\x1f", ""), ('1/2"', '1/2"')],
)
def test_queries_are_normalised(raw, normalised):
    assert normalise_query(raw) == normalised
