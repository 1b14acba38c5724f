"""The document of a state: overlays, tombstones, totality, and equality with the validated model."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.documents import DocumentTimes, SearchDocument
from schemas.identity import SkuId, SkuKey, TenantId
from schemas.product import merge
from schemas.product.building import DocumentPolicy, build_document, state_digest, stored_digest
from schemas.product.changes import ChangeEvent, FacetKey
from schemas.product.fields import ITEM_FIELDS, normalise_fields
from schemas.product.merge import FacetState, ItemState, merge_all
from schemas.version import SourceVersion, Stamp

KEY = SkuKey.of("ferre", "A-1")


def state_of(**rows: dict[str, object] | None) -> ItemState:
    """A state with one row a facet; `price__wholesale` stands for `price:wholesale`."""
    events = [
        ChangeEvent(KEY, FacetKey(name.replace("__", ":")), SourceVersion(0, 1), fields)
        for name, fields in rows.items()
    ]
    return merge_all(events)


ITEM = {
    "title": "Pinza", "description": "De punta", "bullets": ["a", "b"], "brand": "Acme", "category": "Pinzas", "ean": ["750"],
    "part_number": "P-1", "unit": "PZA", "images": ["u"], "price": 10.0, "currency": "MXN", "stock": 1.0,
    "attributes": {"color": "rojo", "peso": 2.0, "nuevo": True}, "attributes.alto": 3.0,
}  # fmt: skip


def test_a_document_has_the_items_fields():
    times = DocumentTimes(changed_us=1, logged_us=2, indexed_us=3)
    document = build_document(KEY, state_of(item=ITEM), 7, text_hash="ab", model="m", times=times)
    assert (document.key, document.rev, document.deleted) == (KEY, 7, False)
    assert (document.title, document.bullets, document.price, document.stock) == ("Pinza", ("a", "b"), 10.0, 1.0)
    assert document.attributes == {"alto": 3.0, "color": "rojo", "nuevo": True, "peso": 2.0}
    assert (document.text_hash, document.model, document.times) == ("ab", "m", times)
    assert document.state == state_digest(state_of(item=ITEM))
    assert len(document.state) == 16


def test_the_stock_of_several_places_is_a_decimal_sum():
    state = state_of(item=ITEM, stock__a={"stock": 1.1}, stock__b={"stock": 2.2})
    assert build_document(KEY, state, 1).stock == 3.3


@pytest.mark.parametrize(
    ("rows", "policy", "price", "currency", "prices"),
    [
        ({}, "", 10.0, "MXN", {}),
        ({"price": {"price": 9.0}}, "", 9.0, "MXN", {}),
        ({"price": {"price": 9.0, "currency": "USD"}}, "", 9.0, "USD", {}),
        ({"price": {"price": 9.0}, "price__b": {"price": 1.0}}, "b", 9.0, "MXN", {"b": 1.0}),
        ({"price__c": {"price": 3.0}, "price__b": {"price": 2.0}}, "c", 3.0, "MXN", {"b": 2.0, "c": 3.0}),
        ({"price__c": {"price": 3.0}, "price__b": {"price": 2.0}}, "none", 2.0, "MXN", {"b": 2.0, "c": 3.0}),
        ({"price__b": None, "price": {}}, "", 10.0, "MXN", {}),
        ({"price": {"price": 0.0}}, "", 0.0, "MXN", {}),
    ],
)
def test_the_price_in_force(rows, policy, price, currency, prices):
    document = build_document(KEY, state_of(item=ITEM, **rows), 1, DocumentPolicy(price_list=policy))
    assert (document.price, document.currency, document.prices) == (price, currency, prices)


@pytest.mark.parametrize(
    ("rows", "places", "stock", "stocks"),
    [
        ({}, None, 1.0, {}),
        ({"stock": {"stock": 4.0}}, None, 4.0, {}),
        ({"stock__n": {"stock": 4.0}, "stock__s": {"stock": -1.0}}, None, 3.0, {"n": 4.0, "s": -1.0}),
        ({"stock__n": {"stock": 4.0}, "stock__s": {"stock": 5.0}}, {"s"}, 5.0, {"n": 4.0, "s": 5.0}),
        ({"stock__n": {"stock": 4.0}}, {"s"}, 0.0, {"n": 4.0}),
        ({"stock": {"stock": 2.0}, "stock__n": {"stock": 4.0}}, {""}, 2.0, {"n": 4.0}),
        ({"stock__n": None, "stock": {}}, None, 1.0, {}),
    ],
)
def test_the_stock_over_the_places_that_count(rows, places, stock, stocks):
    policy = DocumentPolicy(stock_from=None if places is None else frozenset(places))
    document = build_document(KEY, state_of(item=ITEM, **rows), 1, policy)
    assert (document.stock, document.stocks) == (stock, stocks)


@pytest.mark.parametrize(
    "state", [ItemState(), state_of(item=None, price={"price": 1.0}), state_of(stock={"stock": 1.0})]
)
def test_what_is_not_alive_is_a_tombstone_document(state):
    document = build_document(KEY, state, 3, text_hash="ab", model="m")
    assert document == SearchDocument(tenant=KEY.tenant, sku=KEY.sku, rev=3, state=state_digest(state), deleted=True)


def test_a_state_read_back_builds_the_same_bytes():
    state = state_of(
        item=ITEM, price__b={"price": 1.0}, price__a={"price": 2.0}, stock__z={"stock": 1.0}, stock__a={"stock": 1.0}
    )
    again = ItemState.from_bytes(state.to_bytes())
    assert build_document(KEY, again, 1).to_bytes() == build_document(KEY, state, 1).to_bytes()


def test_documents_do_not_share_their_maps():
    one, two = build_document(KEY, ItemState(), 1), build_document(KEY, ItemState(), 1)
    assert one.attributes is not two.attributes


json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=5),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
rows = st.one_of(
    st.none(), st.dictionaries(st.sampled_from([*ITEM_FIELDS, "attributes.x", "other"]), json_values, max_size=8)
)


@given(rows, rows, rows)
@settings(max_examples=100, deadline=None)
def test_any_state_builds_and_equals_the_validated_model(item, price, stock):
    facets = {"item": item, "price:b": price, "price": price, "stock": stock, "odd:x": item}
    stamp = Stamp(SourceVersion(0, 1), "00")
    state = ItemState({FacetKey(name): FacetState(stamp, fields) for name, fields in facets.items()})
    document = build_document(KEY, state, 1, text_hash="a", model="b")
    validated = SearchDocument.model_validate(document.model_dump(), strict=True)
    assert document == validated
    assert document.to_bytes() == validated.to_bytes()
    assert SearchDocument.model_validate_json(document.to_bytes()) == document


@given(
    st.dictionaries(
        st.sampled_from(list(ITEM_FIELDS)),
        st.one_of(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), st.integers(0, 9)),
        max_size=8,
    )
)
@settings(deadline=None)
def test_what_the_rules_let_in_reaches_the_document(raw):
    raw = {name: value for name, value in raw.items() if name not in {"price", "stock", "currency", "attributes"}}
    fields = normalise_fields("item", raw)
    document = build_document(KEY, state_of(item=fields), 1)
    shown = {name: getattr(document, name) for name in fields}
    assert shown == {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def test_a_document_with_other_times_is_the_validated_one() -> None:
    document = SearchDocument(tenant=TenantId("acme"), sku=SkuId("A"), rev=3, state="0" * 16, title="Martillo")
    times = DocumentTimes(changed_us=1, logged_us=2, indexed_us=3, visible_us=0)
    timed = document.timed(times)
    assert timed == document.model_copy(update={"times": times})
    assert timed.to_bytes() == document.model_copy(update={"times": times}).to_bytes()
    assert SearchDocument.model_validate_json(timed.to_bytes()) == timed


def test_a_trusted_document_renders_its_fields_in_the_models_order() -> None:
    named = {"title": "Martillo", "rev": 3, "state": "0" * 16, "sku": "A", "tenant": "acme", "price": 2.5}
    trusted, validated = SearchDocument.trusted(**named), SearchDocument.model_validate(named)
    assert trusted.to_bytes() == validated.to_bytes()
    assert trusted.model_dump() == validated.model_dump()
    assert trusted.attributes is not SearchDocument.trusted(**named).attributes


def test_a_product_with_more_places_than_it_may_hold_counts_those_of_the_least_names_and_says_so(monkeypatch):
    monkeypatch.setattr(merge, "MAX_INSTANCES", 2)
    state = state_of(item=ITEM, stock__c={"stock": 4.0}, stock__a={"stock": 1.0}, stock__b={"stock": 2.0})
    document = build_document(KEY, state, 1)
    assert (document.stocks, document.stock, document.omitted) == ({"a": 1.0, "b": 2.0}, 3.0, ("more_stocks",))
    assert build_document(KEY, state_of(item=ITEM, stock__a={"stock": 1.0}), 1).omitted == ()


def test_bytes_that_are_no_state_have_a_digest_of_their_own():
    state = state_of(item=ITEM)
    assert stored_digest(state.to_bytes()) == state_digest(state)
    assert stored_digest(b"{torn") != stored_digest(b"torn") != state_digest(state)
