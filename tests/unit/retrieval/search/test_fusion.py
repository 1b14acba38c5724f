"""Weighted reciprocal rank fusion: its formula, its order and its shares."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.search.ranking.fusion import RankedHit, weighted_rrf
from schemas.api.explain import RetrieverName
from schemas.identity import SkuKey

RETRIEVERS = (RetrieverName.CODE, RetrieverName.TEXT, RetrieverName.DENSE)

_keys = st.lists(st.integers(0, 30).map(lambda n: SkuKey.of("t", f"sku-{n:02}")), unique=True, max_size=20)
_lists = st.dictionaries(st.sampled_from(RETRIEVERS), _keys)
_weights = st.fixed_dictionaries({name: st.floats(0.1, 10) for name in RETRIEVERS})
_k = st.floats(1, 100)


def ranked(keys):
    return [RankedHit(key, 1.0 / place) for place, key in enumerate(keys, start=1)]


def fuse(lists, k=60.0, weights=None):
    return weighted_rrf({name: ranked(keys) for name, keys in lists.items()}, k=k, weights=weights or {})


def key(name):
    return SkuKey.of("t", name)


def test_the_score_is_the_weighted_sum_of_reciprocal_ranks():
    fused = fuse(
        {RetrieverName.TEXT: [key("a"), key("b")], RetrieverName.DENSE: [key("b")]},
        weights={RetrieverName.TEXT: 2.0, RetrieverName.DENSE: 0.5},
    )
    scores = {candidate.key.sku: candidate.score for candidate in fused}
    assert scores == pytest.approx({"a": 2 / 61, "b": 2 / 62 + 0.5 / 61})


def test_ties_go_to_the_better_rank_then_to_the_smaller_key():
    fused = fuse({RetrieverName.TEXT: [key("z"), key("b")], RetrieverName.DENSE: [key("a"), key("c")]})
    assert [candidate.key.sku for candidate in fused] == ["a", "z", "b", "c"]


def test_a_list_of_weight_zero_takes_no_part():
    fused = fuse({RetrieverName.TEXT: [key("a")], RetrieverName.DENSE: [key("b")]}, weights={RetrieverName.DENSE: 0})
    assert [candidate.key.sku for candidate in fused] == ["a"]


def test_a_product_that_a_list_names_twice_counts_at_its_better_rank():
    (first, second) = fuse({RetrieverName.TEXT: [key("a"), key("a"), key("b")]})
    assert first.score == pytest.approx(1 / 61)
    assert second.contributions[0].rank == 3


def test_contributions_keep_rank_and_raw_score_from_the_largest_share_down():
    lists = {
        RetrieverName.TEXT: [RankedHit(key("a"), 7.5)],
        RetrieverName.DENSE: [RankedHit(key("b"), 0.9), RankedHit(key("a"), 0.8)],
    }
    found = next(candidate for candidate in weighted_rrf(lists, k=60, weights={}) if candidate.key == key("a"))
    assert [(part.retriever, part.rank, part.raw_score) for part in found.contributions] == [
        (RetrieverName.TEXT, 1, 7.5),
        (RetrieverName.DENSE, 2, 0.8),
    ]


@given(_lists, _k, _weights)
def test_every_product_of_any_list_comes_once_in_falling_order(lists, k, weights):
    fused = fuse(lists, k, weights)
    assert {candidate.key for candidate in fused} == {key for keys in lists.values() for key in keys}
    assert len({candidate.key for candidate in fused}) == len(fused)
    assert all(one.score >= other.score for one, other in itertools.pairwise(fused))


@given(_lists, _k, _weights)
def test_shares_of_a_hit_add_up_to_one(lists, k, weights):
    for candidate in fuse(lists, k, weights):
        assert math.isclose(math.fsum(part.share for part in candidate.contributions), 1.0, rel_tol=1e-9)


@given(_lists, _k, _weights)
def test_the_order_of_the_lists_does_not_matter(lists, k, weights):
    assert fuse(lists, k, weights) == fuse(dict(reversed(lists.items())), k, weights)


@given(_keys, _k)
def test_one_list_alone_keeps_its_order(keys, k):
    assert [candidate.key for candidate in fuse({RetrieverName.TEXT: keys}, k)] == keys


@given(_lists, _k, _weights, st.floats(0.5, 4))
def test_scaling_all_weights_changes_no_order(lists, k, weights, factor):
    # Powers of two scale floats exactly; other factors could round two near scores into a tie.
    exact = 2.0 ** round(factor)
    scaled = {name: weight * exact for name, weight in weights.items()}
    assert [one.key for one in fuse(lists, k, weights)] == [one.key for one in fuse(lists, k, scaled)]


@given(_keys.filter(bool), _k, _weights)
def test_rising_in_a_list_never_lowers_the_score(keys, k, weights):
    last = keys[-1]
    before = next(one.score for one in fuse({RetrieverName.TEXT: keys}, k, weights) if one.key == last)
    raised = [last, *keys[:-1]]
    after = next(one.score for one in fuse({RetrieverName.TEXT: raised}, k, weights) if one.key == last)
    assert after >= before
