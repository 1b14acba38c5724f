"""Facets count exactly the documents they are given."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.search.facets import count_facets, price_ranges, round_price
from schemas.documents import SearchDocument


def document(**fields):
    return SearchDocument(**{"tenant": "t", "sku": "s", "rev": 1, "state": "0", **fields})


def test_values_that_differ_in_case_or_blanks_are_one_and_shown_as_most_write_them():
    documents = [document(brand=name) for name in ("ACME tools", "Acme  Tools", "Acme Tools", "Bolt", "")]
    assert count_facets(documents, values=10, price_buckets=5).brands == (("Acme Tools", 3), ("Bolt", 1))


def test_only_the_most_frequent_values_are_given_ties_in_alphabetical_order():
    documents = [document(category=name) for name in ("c", "b", "a", "c")]
    assert count_facets(documents, values=2, price_buckets=5).categories == (("c", 2), ("a", 1))


def test_unknown_stock_counts_as_in_stock():
    facets = count_facets([document(stock=None), document(stock=0), document(stock=2)], values=5, price_buckets=5)
    assert (facets.in_stock, facets.out_of_stock) == (2, 1)


def test_products_without_price_are_in_no_range():
    assert count_facets([document()], values=5, price_buckets=5).prices == ()


def test_prices_below_a_cent_make_no_ranges_of_their_own():
    assert [(one.low, one.high, one.count) for one in price_ranges([0.0, 5e-324, 0.001], 5)] == [(0.0, None, 3)]


@given(st.lists(st.floats(0, 1e9), min_size=1), st.integers(2, 12))
def test_price_ranges_hold_every_price_once_and_join_up(prices, buckets):
    ranges = price_ranges(prices, buckets)
    assert sum(one.count for one in ranges) == len(prices)
    assert len(ranges) <= buckets
    for one in ranges:
        held = [price for price in prices if price >= one.low and (one.high is None or price < one.high)]
        assert len(held) == one.count
    assert [one.high for one in ranges[:-1]] == sorted(one.high for one in ranges[:-1])


@pytest.mark.parametrize(("price", "rounded"), [(1.04, 1), (23, 25), (4.4, 5), (0.0031, 0.0025), (870, 1000)])
def test_prices_are_cut_at_round_figures(price, rounded):
    assert round_price(price) == pytest.approx(rounded)
