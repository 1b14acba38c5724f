"""The reranking stage in a search: what moves, what stays, and what is told of it."""

import numpy as np
import pytest

from retrieval.filters import CatalogueFilter
from retrieval.search.query import SearchQuery
from retrieval.search.why_not import explain_absence
from retrieval.testing import OverlapReranker
from schemas.identity import SkuKey, TenantId
from tests.unit.retrieval.search.doubles import WITHIN, ListedVectors, ShelfReader, document, searcher

SHELF = [
    document("a", title="red hose", price=1.0),
    document("b", title="blue bolt", price=5.0),
    document("c", title="red bolt steel", price=9.0),
    document("d", title="other"),
]


class Recording(OverlapReranker):
    def __init__(self, *, fail=False) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self._fail = fail

    def score(self, query, passages):
        self.asked.append((query, tuple(passages)))
        if self._fail:
            raise ValueError("defect")
        return super().score(query, passages)


def skus(result):
    return [hit.document.sku for hit in result.hits]


def reranking(reranker=None, *, vectors=("d", "a", "b", "c"), shelf=SHELF, **settings):
    settings = {"weights": {"text": 0}, **settings, "rerank": {"budget_ms": 10_000, **settings.get("rerank", {})}}
    return searcher(ShelfReader(*shelf), vectors=ListedVectors(*vectors), reranker=reranker or Recording(), **settings)


async def test_the_best_answer_comes_first_and_the_hit_says_how_it_moved():
    result = await reranking().search(SearchQuery("red bolt", WITHIN))
    assert skus(result)[0] == "c"
    change = result.hits[0].rerank
    assert (change.before, change.after) == (4, 1)
    assert change.score == pytest.approx(OverlapReranker().score("red bolt", ["red bolt steel"])[0])
    reranked = result.trace.reranked
    assert (reranked.scored, reranked.of, reranked.failed, reranked.partial) == (4, 4, False, False)
    assert "rerank" in result.timings_ms
    assert result.log_fields()["reranked"] == 4


async def test_without_a_reranker_nothing_of_it_is_there():
    search = searcher(ShelfReader(*SHELF), vectors=ListedVectors("d", "a"), weights={"text": 0})
    result = await search.search(SearchQuery("red bolt", WITHIN))
    assert skus(result) == ["d", "a"]
    assert result.trace.reranked is None
    assert result.hits[0].rerank is None
    assert "rerank" not in result.timings_ms


async def test_only_the_depth_is_read_and_the_rest_follows_as_fused():
    reranker = Recording()
    result = await reranking(reranker, rerank={"depth": 2}).search(SearchQuery("red bolt", WITHIN))
    assert skus(result) == ["a", "d", "b", "c"]
    assert [len(passages) for _, passages in reranker.asked] == [2]
    assert result.hits[3].rerank is None


async def test_what_the_time_did_not_reach_keeps_its_order_below():
    class OnceOnly(OverlapReranker):
        """Slow from its second batch on, as the stage finds out."""

        calls = 0

        def score(self, query, passages):
            self.calls += 1
            if self.calls > 1:
                raise ValueError("not reached in time")
            return super().score(query, passages)

    result = await reranking(OnceOnly(), rerank={"batch_size": 2}).search(SearchQuery("red bolt", WITHIN))
    # d and a were read, b and c were not.
    assert skus(result) == ["a", "d", "b", "c"]
    assert (result.trace.reranked.scored, result.trace.reranked.of) == (2, 4)
    assert result.hits[2].rerank.score is None


async def test_a_reranker_that_fails_leaves_the_fusions_order():
    result = await reranking(Recording(fail=True)).search(SearchQuery("red bolt", WITHIN))
    assert skus(result) == ["d", "a", "b", "c"]
    assert result.trace.reranked.failed


async def test_a_product_that_is_named_keeps_its_place():
    shelf = [*SHELF, document("x9", title="no word in common")]
    search = reranking(shelf=shelf, weights={"text": 0, "code": 3})
    result = await search.search(SearchQuery("red bolt x9", WITHIN))
    assert skus(result)[:2] == ["x9", "c"]
    assert result.hits[0].rerank.score is None


async def test_one_code_alone_and_listings_are_not_reranked():
    reranker = Recording()
    search = reranking(reranker, shelf=[*SHELF, document("ab-1234", title="thing")])
    for text in ("ab-1234", "", "  "):
        assert (await search.search(SearchQuery(text, WITHIN))).trace.reranked is None
    assert not reranker.asked


async def test_the_dead_the_filtered_and_the_excluded_are_not_read():
    reranker = Recording()
    shelf = [*SHELF, document("dead", title="red bolt dead", deleted=True)]
    search = reranking(reranker, vectors=("dead", "gone", "a", "b", "c"), shelf=shelf)
    cheap = CatalogueFilter.of(TenantId("t"), price_max=6.0)
    result = await search.search(SearchQuery("red bolt", cheap))
    assert [set(passages) for _, passages in reranker.asked] == [{"red hose", "blue bolt"}]
    assert result.total == 2
    result = await search.search(SearchQuery("bolt no steel", WITHIN))
    assert set(reranker.asked[1][1]) == {"red hose", "blue bolt"}
    assert result.trace.excluded == {SkuKey.of("t", "c")}
    assert "c" not in skus(result)


async def test_why_not_tells_of_the_move():
    search = reranking()
    result = await search.search(SearchQuery("red bolt", WITHIN, limit=1))
    absence = explain_absence(SkuKey.of("t", "d"), SHELF[3], result, WITHIN, offset=0)
    assert absence.verdict == "on_another_page"
    assert absence.rank == 4
    assert absence.reason.endswith("the reranker moved it from place 1 to 4")


async def test_the_query_is_read_in_the_catalogues_own_words():
    reranker = Recording()
    search = reranking(
        reranker,
        shelf=[document("a", title="taladro percutor"), document("b", title="taladro x"), document("c", title="red")],
        vectors=("c", "a", "b"),
    )
    result = await search.search(SearchQuery("drill", WITHIN))
    assert reranker.asked[0][0] == result.trace.plan.dense_texts[-1]


async def test_pages_are_cut_from_the_reranked_list():
    search = reranking()
    whole = await search.search(SearchQuery("red bolt", WITHIN))
    second = await search.search(SearchQuery("red bolt", WITHIN, limit=2, offset=2))
    assert skus(second) == skus(whole)[2:]


def test_scores_are_arrays():
    assert OverlapReranker().score("a", ["a"]).dtype == np.float32


@pytest.mark.parametrize("facets", [True, False])
@pytest.mark.parametrize("reranker", [Recording(), None], ids=["reranked", "as fused"])
async def test_documents_and_exclusions_are_read_once(reranker, facets):
    class Counting(ShelfReader):
        def __init__(self, *documents):
            super().__init__(*documents)
            self.fetched, self.asked = [], 0

        def excluded(self, keys, query):
            self.asked += 1
            return super().excluded(keys, query)

        def fetch(self, keys):
            self.fetched += keys
            return super().fetch(keys)

    reader = Counting(*SHELF)
    settings = {"weights": {"text": 0}, "rerank": {"budget_ms": 10_000}}
    search = searcher(reader, vectors=ListedVectors("d", "a", "b", "c"), reranker=reranker, **settings)
    result = await search.search(SearchQuery("bolt no steel", WITHIN, facets=facets))
    assert set(skus(result)) == {"d", "a", "b"}
    assert reader.asked == 1
    assert sorted(key.sku for key in reader.fetched) == ["a", "b", "d"]
