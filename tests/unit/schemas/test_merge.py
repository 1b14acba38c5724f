"""The merge's laws, by property: whatever the order, repetition, batching or route, the same bytes."""

from functools import reduce

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.identity import SkuKey
from schemas.product import merge
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey, facet_name
from schemas.product.merge import ItemState, MergeOutcome, merge_all
from schemas.version import SourceVersion

pytestmark = pytest.mark.slow

KEY = SkuKey.of("ferre", "A-1")
FIELDS = ("title", "description", "brand")
values = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=3), st.lists(st.integers(0, 3), max_size=2)
)


@st.composite
def events(draw) -> ChangeEvent:
    facet = FacetKey(draw(st.sampled_from(["item", "price", "price:wholesale", "stock:north"])))
    version = SourceVersion(
        draw(st.integers(0, 1)), draw(st.integers(0, 4)), draw(st.one_of(st.none(), st.integers(0, 4)))
    )
    changed_at_us = draw(st.integers(0, 3))
    if draw(st.booleans()) and draw(st.booleans()):
        return ChangeEvent(KEY, facet, version, None, changed_at_us=changed_at_us)
    unavailable = frozenset(draw(st.sets(st.sampled_from(FIELDS), max_size=2)))
    given_names = [name for name in FIELDS if name not in unavailable and draw(st.booleans())]
    return ChangeEvent(KEY, facet, version, {name: draw(values) for name in given_names}, unavailable, changed_at_us)


histories = st.lists(events(), max_size=8)


@given(histories, st.data())
@settings(max_examples=100, deadline=None)
def test_any_order_and_repetition_ends_in_the_same_bytes(history, data):
    shuffled = data.draw(
        st.permutations(history + data.draw(st.lists(st.sampled_from(history), max_size=4)) if history else history)
    )
    assert merge_all(shuffled).to_bytes() == merge_all(history).to_bytes()


@given(histories, st.data())
@settings(max_examples=80, deadline=None)
def test_folding_in_batches_that_are_joined_is_the_same_as_one_by_one(history, data):
    owners = [data.draw(st.integers(0, 2)) for _ in history]
    batches = [[event for event, owner in zip(history, owners, strict=True) if owner == batch] for batch in range(3)]
    order = data.draw(st.permutations(range(3)))
    joined = reduce(ItemState.join, (merge_all(batches[batch]) for batch in order), ItemState())
    assert joined.to_bytes() == merge_all(history).to_bytes()


@given(histories, histories, histories)
@settings(max_examples=60, deadline=None)
def test_join_is_commutative_associative_and_idempotent(one, two, three):
    a, b, c = merge_all(one), merge_all(two), merge_all(three)
    assert a.join(b).to_bytes() == b.join(a).to_bytes()
    assert a.join(b).join(c).to_bytes() == a.join(b.join(c)).to_bytes()
    assert a.join(a).to_bytes() == a.to_bytes()


@given(histories)
@settings(max_examples=60, deadline=None)
def test_a_state_survives_its_bytes(history):
    state = merge_all(history)
    again = ItemState.from_bytes(state.to_bytes())
    assert again.to_bytes() == state.to_bytes()
    assert again.alive == state.alive
    assert {name: facet.values() for name, facet in again.facets.items()} == {
        name: facet.values() for name, facet in state.facets.items()
    }


@given(histories, events())
@settings(max_examples=60, deadline=None)
def test_merging_an_event_again_says_duplicate_or_stale_and_changes_nothing(history, event):
    once, _ = merge_all(history).merge(event)
    twice, outcome = once.merge(event)
    assert outcome is not MergeOutcome.APPLIED
    assert twice.to_bytes() == once.to_bytes()


def upsert(sequence: int, unavailable: tuple[str, ...] = (), **fields: object) -> ChangeEvent:
    return ChangeEvent(KEY, ITEM_FACET, SourceVersion(0, sequence), fields, frozenset(unavailable))


def delete(sequence: int) -> ChangeEvent:
    return ChangeEvent(KEY, ITEM_FACET, SourceVersion(0, sequence), None)


def item_values(*history: ChangeEvent) -> dict[str, object]:
    return merge_all(history).facets[ITEM_FACET].values()


def test_a_stale_upsert_does_not_resurrect_a_deleted_product():
    state = merge_all([upsert(1, title="a"), delete(3)])
    merged, outcome = state.merge(upsert(2, title="late"))
    assert not merged.alive
    assert outcome is MergeOutcome.STALE


def test_a_newer_create_revives_a_product_with_its_other_facets():
    price = ChangeEvent(KEY, FacetKey("price"), SourceVersion(0, 1), {"price": 5.0})
    state = merge_all([price, upsert(1, title="a"), delete(2), upsert(3, title="b")])
    assert state.alive
    assert state.facets[FacetKey("price")].values() == {"price": 5.0}


def test_an_unavailable_field_keeps_the_newest_value_that_was_given():
    history = [upsert(1, description="old"), upsert(2, description="new"), upsert(3, ("description",), title="t")]
    assert item_values(*history) == {"title": "t", "description": "new"}
    assert item_values(*reversed(history)) == {"title": "t", "description": "new"}


def test_a_deletion_between_makes_an_unavailable_field_absent():
    assert item_values(upsert(1, description="old"), delete(2), upsert(3, ("description",), title="t")) == {
        "title": "t"
    }


def test_a_higher_epoch_beats_every_sequence_of_the_one_before():
    restored = ChangeEvent(KEY, ITEM_FACET, SourceVersion(1, 1), {"title": "restored"})
    assert item_values(upsert(10**18, title="before"), restored) == {"title": "restored"}


def test_two_rows_at_one_version_are_ordered_the_same_everywhere_and_counted():
    one, two = upsert(5, title="one"), upsert(5, title="two")
    assert merge_all([one, two]).to_bytes() == merge_all([two, one]).to_bytes()
    assert merge_all([one]).conflicts_with(two)
    assert not merge_all([one]).conflicts_with(one)


def test_one_event_delivered_with_two_commit_times_keeps_the_later():
    early, late = (ChangeEvent(KEY, ITEM_FACET, SourceVersion(0, 1), {"title": "a"}, changed_at_us=t) for t in (5, 9))
    for history in ([early, late], [late, early]):
        state = merge_all(history)
        assert state.changed_at_us == 9
    assert merge_all([late]).merge(early)[1] is MergeOutcome.DUPLICATE


many_places = st.lists(
    st.builds(
        lambda facet, sequence, gone: ChangeEvent(
            KEY, FacetKey(facet), SourceVersion(0, sequence), None if gone else {"stock": float(sequence)}
        ),
        st.sampled_from(["item", *(f"{name}:{place}" for name in ("price", "stock") for place in "abcdefg"), "stock"]),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=14,
)


@given(many_places, st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_a_product_may_hold_does_not_depend_on_order_repetition_or_route(monkeypatch, history, data):
    monkeypatch.setattr(merge, "MAX_INSTANCES", 2)
    shuffled = data.draw(st.permutations(history + history[:3]))
    parts = [shuffled[: len(shuffled) // 2], shuffled[len(shuffled) // 2 :]]
    a, b = map(merge_all, parts)
    expected = merge_all(history)
    assert merge_all(shuffled).to_bytes() == expected.to_bytes()
    assert a.join(b).to_bytes() == b.join(a).to_bytes() == expected.to_bytes()
    assert ItemState.from_bytes(a.to_bytes()).join(b).join(a).to_bytes() == expected.to_bytes()
    seen = {event.facet for event in history}
    for name in ("item", "price", "stock"):
        of_name = sorted(facet for facet in seen if facet_name(facet) == name)
        assert sorted(facet for facet in expected.held() if facet_name(facet) == name) == of_name[:2]
        assert expected.overfull(name) == (len(of_name) > 2)
    assert all(expected.admits(facet) == (facet in expected.facets) for facet in seen)


def test_a_place_beyond_what_a_product_may_hold_is_counted_and_changes_nothing(monkeypatch):
    monkeypatch.setattr(merge, "MAX_INSTANCES", 2)
    state = merge_all([ChangeEvent(KEY, FacetKey(f"stock:{place}"), SourceVersion(0, 1), {}) for place in "bcd"])
    beyond = ChangeEvent(KEY, FacetKey("stock:e"), SourceVersion(0, 9), {})
    assert state.merge(beyond) == (state, MergeOutcome.BEYOND)
    merged, outcome = state.merge(ChangeEvent(KEY, FacetKey("stock:a"), SourceVersion(0, 1), {}))
    assert outcome is MergeOutcome.APPLIED
    assert sorted(merged.facets) == ["stock:a", "stock:b", "stock:c"]
