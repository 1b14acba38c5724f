"""What a batch decides for one product, as tables."""

from dataclasses import replace
from typing import Any

import pytest

from indexer.batch.plan import Action, Arrival, fold, merge, plan
from retrieval.testing import HashingEncoder
from retrieval.vectors.port import PointPayload
from retrieval.vectors.spaces import TEXT_VECTOR, spaces_of
from schemas.identity import SkuKey
from schemas.product.building import build_document
from schemas.product.changes import ChangeEvent
from tests.support.indexing.fakes import event, record

SPACES = {name: spaces_of(replace(HashingEncoder().revision, model=name)) for name in ("m1", "m2")}
KEY = SkuKey.of("acme", "A1")
BOLT = {"title": "Hex bolt M8", "brand": "Fix It", "category": "Bolts"}


def arrivals(*events: ChangeEvent) -> list[Arrival]:
    return [Arrival(one, record(one, offset)) for offset, one in enumerate(events)]


def decide(stored: PointPayload | None, *events: ChangeEvent, model: str = "m1") -> Any:
    came = arrivals(*events)
    return plan(KEY, stored, merge(stored, came), came, compose=build_document, spaces=SPACES[model])


def stored_after(*events: ChangeEvent, model: str = "m1") -> PointPayload:
    decision = decide(None, *events, model=model)
    return decision.write.payload


NEW = event("A1", "item", 10, BOLT)


@pytest.mark.parametrize(
    ("name", "stored", "events", "expected"),
    [
        ("a new product is embedded", (), (NEW,), Action.EMBED),
        ("a price alone costs no inference", (NEW,), (event("A1", "price", 11, {"price": 2.5}),), Action.PATCH),
        ("a stock alone costs no inference", (NEW,), (event("A1", "stock:b2", 11, {"stock": 4}),), Action.PATCH),
        ("the item's own price costs no inference", (NEW,), (event("A1", "item", 11, {**BOLT, "price": 3}),), Action.PATCH),
        ("blanks in the title cost no inference", (NEW,), (event("A1", "item", 11, {**BOLT, "title": " Hex  bolt M8"}),), Action.PATCH),
        ("another title is embedded", (NEW,), (event("A1", "item", 11, {**BOLT, "title": "Hex bolt M10"}),), Action.EMBED),
        ("another brand is embedded", (NEW,), (event("A1", "item", 11, {**BOLT, "brand": "Acme"}),), Action.EMBED),
        ("a deletion is a tombstone", (NEW,), (event("A1", "item", 11, None),), Action.DELETE),
        ("a price before the product waits for it", (), (event("A1", "price", 9, {"price": 1}),), Action.AWAIT),
        ("so does a stock after the price", (event("A1", "price", 9, {"price": 1}),), (event("A1", "stock", 9, {"stock": 1}),), Action.AWAIT),
        ("a deletion before the product is a tombstone", (), (event("A1", "item", 9, None),), Action.DELETE),
        ("the product takes up what waited", (event("A1", "price", 9, {"price": 1}),), (NEW,), Action.EMBED),
        ("and so does its deletion", (event("A1", "price", 9, {"price": 1}),), (event("A1", "item", 9, None),), Action.DELETE),
        ("the same event again is published again", (NEW,), (NEW,), Action.REPUBLISH),
        ("an older event is dropped", (NEW,), (event("A1", "item", 9, {"title": "Old"}),), Action.STALE),
        ("an older event beside the same one is published again", (NEW,), (event("A1", "item", 9, BOLT), NEW), Action.REPUBLISH),
        ("a stale upsert after a deletion stays dropped", (NEW, event("A1", "item", 12, None)), (event("A1", "item", 11, BOLT),), Action.STALE),
        ("the same deletion again is published again", (NEW, event("A1", "item", 12, None)), (event("A1", "item", 12, None),), Action.REPUBLISH),
        ("an unchanged product that comes back costs no inference", (NEW, event("A1", "item", 12, None)), (event("A1", "item", 13, BOLT),), Action.PATCH),
        ("a new epoch wins over higher sequences", (NEW,), (event("A1", "item", 1, {"title": "New era"}, epoch=1),), Action.EMBED),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_decision(
    name: str, stored: tuple[ChangeEvent, ...], events: tuple[ChangeEvent, ...], expected: Action
) -> None:
    payload: PointPayload | None = None
    for one in stored:
        payload = decide(payload, one).write.payload
    assert decide(payload, *events).action is expected


def test_another_model_embeds_again_even_where_nothing_changed() -> None:
    decision = decide(stored_after(NEW), NEW, model="m2")
    assert decision.action is Action.EMBED
    revision = SPACES["m2"][TEXT_VECTOR].revision
    assert decision.document.model == decision.write.payload.provenance_of(TEXT_VECTOR).revision == revision


def test_a_write_names_the_revision_that_was_read_and_counts_on() -> None:
    first = decide(None, NEW)
    assert (first.write.expected_rev, first.write.payload.rev, first.document.rev) == (None, 1, 1)
    second = decide(first.write.payload, event("A1", "price", 11, {"price": 2}))
    assert (second.write.expected_rev, second.write.payload.rev, second.document.rev) == (1, 2, 2)
    again = decide(second.write.payload, NEW)
    assert again.document.rev == 2


def test_the_payload_holds_folded_filters_and_the_document_the_times() -> None:
    decision = decide(None, NEW, event("A1", "price", 12, {"price": 2.5}), event("A1", "stock", 11, {"stock": 0}))
    payload = decision.write.payload
    assert (*payload.filterable.values(), payload.alive) == ("fix it", "bolts", 2.5, False, True)
    assert decision.document.times.changed_us == 1_700_000_000_000_012
    assert decision.document.times.logged_us == 1_700_000_100_002_000


def test_a_tombstone_keeps_the_provenance_of_its_vector_and_carries_times() -> None:
    alive = stored_after(NEW)
    gone = decide(alive, event("A1", "item", 11, None))
    assert gone.write.payload.provenance == alive.provenance
    assert not gone.write.payload.alive
    assert gone.document.deleted
    assert gone.document.times.logged_us


def test_counts_of_a_merge() -> None:
    stored = stored_after(NEW)
    twin = event("A1", "item", 10, {"title": "Another row, same version"})
    merged = merge(stored, arrivals(NEW, event("A1", "item", 8, BOLT), twin, event("A1", "price", 3, {"price": 1})))
    assert merged.applied + merged.duplicates + merged.stale == 4
    assert (merged.duplicates, len(merged.conflicts)) == (1, 1)


def test_folding_groups_by_product_in_order_of_arrival() -> None:
    groups = fold(arrivals(event("A1", "item", 2, BOLT), event("B1", "item", 1, BOLT), event("A1", "item", 1, BOLT)))
    assert [(str(key), [one.event.version.sequence for one in group]) for key, group in groups.items()] == [
        ("acme/A1", [2, 1]),
        ("acme/B1", [1]),
    ]


def test_what_waits_is_written_once_and_never_published() -> None:
    price = event("A1", "price", 9, {"price": 1})
    first = decide(None, price)
    assert first.write.payload.alive is False
    again = decide(first.write.payload, price)
    assert (again.action, again.write) == (Action.AWAIT, None)
    older = decide(first.write.payload, event("A1", "price", 8, {"price": 2}))
    assert (older.action, older.write) == (Action.AWAIT, None)
    whole = decide(first.write.payload, NEW)
    assert (whole.document.price, whole.document.rev) == (1, 2)
