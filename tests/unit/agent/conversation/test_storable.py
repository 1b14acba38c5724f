"""What a planner says, as every checkpointer takes it."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checkpoints.serialization import StrictSerializer
from agent.conversation.state import storable

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters()), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_a_model_says_is_stored_and_read_back(value):
    kept = storable(value)
    serializer = StrictSerializer()
    assert serializer.loads_typed(serializer.dumps_typed(kept)) == kept
    assert orjson.loads(orjson.dumps(kept)) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775809", "-9223372036854775809"),
        ('{"quantity": [100000000000000000000]}', {"quantity": ["100000000000000000000"]}),
        ('"a\\ud800b"', "a\N{REPLACEMENT CHARACTER}b"),
        ('"\\ud83d\\udc4c"', "\N{OK HAND SIGN}"),
        ('{"\\udfff": true}', {"\N{REPLACEMENT CHARACTER}": True}),
    ],
)
def test_what_no_store_takes_becomes_text(said, kept):
    assert storable(json.loads(said)) == kept


def test_an_integer_of_many_thousand_digits_becomes_its_digits():
    assert storable(10**6000) == "1" + "0" * 6000
