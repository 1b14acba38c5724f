"""Stored states of any form: what can be read of them stays, and nothing makes the reading fail."""

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.conversation.recovery import ClosedMessage, closed_turn, fresh_state, last_reply, sound_draft, sound_state

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "turn", "language", "customer", "messages", "shown", "topic", "focus", "draft", "offer", "submitted", "work", "last",
    "order_id", "serial", "lines", "sku", "title", "quantity", "price_shown", "role", "text", "cards", "query", "key", "reply",
)  # fmt: skip
LIKE_STATES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6),
    max_leaves=20,
)
LINE = {
    "sku": "A",
    "title": "Codo",
    "quantity": "2",
    "unit": "pieza",
    "pack": "",
    "price_shown": "1.5",
    "currency": "MXN",
}


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS), LIKE_STATES | ANYTHING, max_size=12))
def test_no_stored_state_makes_the_reading_or_the_closing_fail(stored) -> None:
    state = sound_state(stored, "norte", "t1")
    assert sound_state(state, "norte", "t1") == state
    fresh = fresh_state("norte", "t1", serial=7)
    ended = closed_turn(stored, ClosedMessage("hola", "k1", begun=False), fresh, kept_messages=40)
    assert last_reply(ended) is not None
    assert ended["messages"][-1]["role"] == "agent"


def test_a_sound_state_stays_as_it_is() -> None:
    draft = {"order_id": "o1", "serial": 1, "lines": [LINE]}
    assert sound_draft(draft) == draft


def test_only_the_lines_that_cannot_be_read_are_left_out() -> None:
    lines = [
        LINE,
        {**LINE, "sku": "B", "quantity": "0"},
        {**LINE, "sku": "C", "quantity": "NaN"},
        {**LINE, "sku": "D", "quantity": "1e999999"},
        {"sku": "E", "quantity": "3"},
        {"quantity": "3"},
        "a line",
        None,
    ]
    sound = sound_draft({"order_id": "o1", "serial": 1, "lines": lines})
    assert sound is not None
    assert [line["sku"] for line in sound["lines"]] == ["A", "E"]
    assert sound["lines"][1]["title"] == "E"


def test_a_draft_that_says_no_order_is_none() -> None:
    for stored in (None, [], {}, {"order_id": "", "serial": 1}, {"order_id": "o1"}, {"order_id": 3, "serial": 1}):
        assert sound_draft(stored) is None
