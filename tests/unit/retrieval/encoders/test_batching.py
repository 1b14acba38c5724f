"""Length bucketing: nothing lost, nothing over the budget, like beside like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.encoders.inference.session import plan_batches

LENGTHS = st.lists(st.integers(0, 512), max_size=80)


@given(LENGTHS, st.integers(64, 4096))
def test_every_text_is_computed_exactly_once(lengths: list[int], budget: int) -> None:
    indices = [index for batch in plan_batches(lengths, budget) for index in batch]
    assert sorted(indices) == list(range(len(lengths)))


@given(LENGTHS, st.integers(64, 4096))
def test_a_batch_stays_within_the_budget_unless_it_is_one_text(lengths: list[int], budget: int) -> None:
    for batch in plan_batches(lengths, budget):
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= budget


@given(LENGTHS, st.integers(64, 4096))
def test_no_batch_holds_a_text_longer_than_any_of_an_earlier_batch(lengths: list[int], budget: int) -> None:
    ordered = [lengths[index] for batch in plan_batches(lengths, budget) for index in batch]
    assert ordered == sorted(ordered, reverse=True)


@pytest.mark.parametrize(
    ("lengths", "budget", "batches"),
    [
        ([], 100, []),
        ([500], 100, [[0]]),
        ([10, 50, 10, 50], 100, [[1, 3], [0, 2]]),
        ([0, 0], 64, [[0, 1]]),
    ],
)
def test_batches_of_like_length(lengths: list[int], budget: int, batches: list[list[int]]) -> None:
    assert plan_batches(lengths, budget) == batches
