"""Intervals and paired tests: what must hold of them on any figures."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.resampling import bootstrap_interval, paired_difference

shares = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@given(shares)
@settings(max_examples=30, deadline=None)
def test_the_interval_lies_within_the_values(values):
    interval = bootstrap_interval(values)
    assert min(values) - 1e-9 <= interval.low <= interval.high <= max(values) + 1e-9


def test_the_interval_of_a_constant_is_the_constant():
    interval = bootstrap_interval([0.25] * 40)
    assert (interval.low, interval.high) == (0.25, 0.25)


def test_more_queries_make_the_interval_narrower():
    few, many = bootstrap_interval([0.0, 1.0] * 10), bootstrap_interval([0.0, 1.0] * 1000)
    assert many.high - many.low < (few.high - few.low) / 5


def test_no_values_have_an_empty_interval():
    assert bootstrap_interval([]).high == 0


def test_equal_systems_do_not_differ():
    found = paired_difference([0.1, 0.9, 0.5], [0.1, 0.9, 0.5])
    assert (found.difference, found.p_value, found.better, found.worse) == (0, 1, 0, 0)
    assert found.p_value >= 0.05


def test_a_difference_on_every_query_is_no_chance():
    found = paired_difference([0.0] * 30, [1.0] * 30)
    assert found.difference == 1
    assert found.p_value < 0.001
    assert found.better == 30


def test_the_p_value_is_that_of_all_sign_assignments():
    # Four queries gained alike: of the 16 assignments of signs, two reach the observed sum.
    found = paired_difference([0.0] * 4, [1.0] * 4)
    assert found.p_value == pytest.approx(2 / 16, abs=0.02)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30))
@settings(max_examples=20, deadline=None)
def test_exchanging_the_systems_turns_the_sign_only(pairs):
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert there.difference == pytest.approx(-back.difference)
    assert there.p_value == pytest.approx(back.p_value, abs=0.03)
    assert (there.better, there.worse) == (back.worse, back.better)


def test_an_unpaired_comparison_is_refused():
    with pytest.raises(ValueError, match="same queries"):
        paired_difference([1.0], [1.0, 2.0])
