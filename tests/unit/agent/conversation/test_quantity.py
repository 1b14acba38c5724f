"""Quantities: one rule for whatever a person, a model or an old state gives, and nothing that rounds to 0 is stored."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.conversation.quantity import LARGEST, SMALLEST, Fault, QuantityError, is_nothing, quantity_of

NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=80),
    st.from_regex(r"\A[+-]?\d{1,40}([.,]\d{1,40})?([eE][+-]?\d{1,12})?\Z"),
)


@settings(deadline=None)
@given(NUMBERS)
def test_whatever_is_given_is_a_quantity_or_is_refused_with_its_fault(value) -> None:
    try:
        quantity = quantity_of(value, largest=100_000)
    except QuantityError as error:
        assert error.fault in set(Fault)
        return
    assert SMALLEST <= quantity <= 100_000
    assert quantity == quantity.quantize(SMALLEST)
    assert len(format(quantity, "f")) <= 10
    assert quantity_of(format(quantity, "f")) == quantity


@settings(deadline=None)
@given(st.decimals(min_value=SMALLEST, max_value=LARGEST, allow_nan=False, places=3))
def test_what_has_three_decimals_stays_what_it_is(value: Decimal) -> None:
    assert quantity_of(value) == value
    assert quantity_of(str(value)) == value


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("0.0001", Fault.TOO_SMALL), ("1e-9", Fault.TOO_SMALL), (1e-9, Fault.TOO_SMALL), ("1e-999999999", Fault.TOO_SMALL),
        ("0.00049", Fault.TOO_SMALL),
        ("1e400", Fault.TOO_LARGE), (10**30, Fault.TOO_LARGE), pytest.param(10**5000, Fault.TOO_LARGE, id="5001 digits"), ("1e999999999", Fault.TOO_LARGE),
        ("100000.0005", Fault.TOO_LARGE), (100_001, Fault.TOO_LARGE),
        (float("inf"), Fault.INVALID), ("NaN", Fault.INVALID), ("sNaN", Fault.INVALID), ("Infinity", Fault.INVALID),
        (-3, Fault.INVALID), ("-0.5", Fault.INVALID), (0, Fault.INVALID), ("0.000", Fault.INVALID), ("-0", Fault.INVALID),
        ("media docena", Fault.INVALID), ("1/2", Fault.INVALID), ("", Fault.INVALID), ("1" * 5000, Fault.INVALID),
        (True, Fault.INVALID), (None, Fault.INVALID), ([2], Fault.INVALID),
    ],
)  # fmt: skip
def test_what_is_no_quantity_is_refused_by_its_fault(value, fault: Fault) -> None:
    with pytest.raises(QuantityError) as refused:
        quantity_of(value, largest=100_000)
    assert refused.value.fault is fault


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0.0005", "0.001"),
        (0.1, "0.1"),
        ("2.5", "2.5"),
        ("12.5000", "12.5"),
        ("1e2", "100"),
        (7, "7"),
        ("0.0014", "0.001"),
    ],
)
def test_a_quantity_is_rounded_half_up_to_a_thousandth(value, expected: str) -> None:
    assert format(quantity_of(value), "f") == expected


def test_only_the_number_0_is_nothing() -> None:
    assert all(map(is_nothing, (0, 0.0, "0", "0.00", "-0", "0e5")))
    assert not any(map(is_nothing, ("", "nada", None, False, "0.0001", "NaN", 1)))
