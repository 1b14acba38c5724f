"""A store that was lost is restored from documents: they are built again, and whatever comes with a version wins."""

import pytest

from indexer.batch.publishing import StoredDocuments
from indexer.ports import Target
from indexer.reconcile.compare import Kind
from indexer.reconcile.log_sources import DocumentRows, changes_of
from indexer.reconcile.run import ReconcileOptions, Reconciliation
from retrieval.vectors.memory import MemoryIndex
from schemas.documents import SearchDocument
from schemas.identity import SkuKey
from schemas.product.building import DocumentPolicy, build_document
from schemas.product.changes import ChangeEvent
from schemas.product.merge import merge_all
from tests.support.indexing.fakes import DocumentLog, FakeClock, event, make_pipeline, no_sleep, records_of

KEY = SkuKey.of("acme", "A1")
BOLT = {
    "title": "Hex bolt M8", "description": "zinc", "bullets": ["a", "b"], "brand": "Fix", "category": "Bolts", "part_number": "X-1",
    "ean": ["7501"], "unit": "pc", "images": ["https://shop/1.jpg"], "attributes": {"thread": "M8", "length": 40.0, "zinc": True},
}  # fmt: skip
WHOLESALE = DocumentPolicy(price_list="wholesale", stock_from=frozenset({"north", ""}))


def whole(document: SearchDocument) -> dict:
    return document.model_dump(exclude={"rev", "state", "times", "text_hash", "model"})


@pytest.mark.parametrize("policy", [DocumentPolicy(), WHOLESALE], ids=["all that there is", "one list, some places"])
@pytest.mark.parametrize(
    "events",
    [
        [event("A1", "item", 5, BOLT)],
        [event("A1", "item", 5, {**BOLT, "price": 3.5, "currency": "MXN", "stock": 7})],
        [event("A1", "item", 5, BOLT), event("A1", "price", 5, {"price": 2.5, "currency": "MXN"}), event("A1", "stock", 5, {"stock": 4})],
        [event("A1", "item", 5, BOLT), event("A1", "price:retail", 5, {"price": 9}), event("A1", "price:wholesale", 5, {"price": 6})],
        [event("A1", "item", 5, BOLT), event("A1", "price:retail", 5, {"price": 9}), event("A1", "price", 5, {"price": 8})],
        [event("A1", "item", 5, BOLT), event("A1", "stock:north", 5, {"stock": 1.1}), event("A1", "stock:south", 5, {"stock": 2.2})],
        [event("A1", "item", 5, BOLT), event("A1", "stock:north", 5, {"stock": 1.1}), event("A1", "stock", 5, {"stock": 5})],
        [event("A1", "item", 5, {**BOLT, "price": 1, "stock": 0})],
        [event("A1", "item", 5, BOLT), event("A1", "item", 6, None)],
    ],
    ids=["no price", "the item's own", "rows without a name", "lists", "a list and none", "places", "a place and none", "none left", "deleted"],
)  # fmt: skip
def test_the_document_is_built_again_of_its_changes(events: list[ChangeEvent], policy: DocumentPolicy) -> None:
    document = build_document(KEY, merge_all(events), 3, policy)
    again = merge_all(changes_of(document, policy))
    assert whole(build_document(KEY, again, 3, policy)) == whole(document)
    # What has a version is newer, whenever it comes.
    assert build_document(KEY, merge_all([*changes_of(document, policy), *events]), 3, policy).price == document.price
    renamed = event("A1", "item", 1, {"title": "Renamed"})
    assert merge_all([renamed, *changes_of(document, policy)]).facets["item"].values() == {"title": "Renamed"}


async def test_a_lost_store_gets_every_product_that_lives_back_and_leaves_alone_what_is_newer() -> None:
    events = [
        event("A1", "item", 5, BOLT), event("A1", "price", 5, {"price": 2.5}),
        event("B", "item", 5, {"title": "Nut"}), event("C", "item", 5, {"title": "Gone"}), event("C", "item", 6, None),
    ]  # fmt: skip
    topic = DocumentLog()
    await make_pipeline(MemoryIndex(), publisher=topic).process(records_of(events))
    before = topic.compacted()

    lost = MemoryIndex()
    clock = FakeClock()
    clock.advance(60)
    pipeline = make_pipeline(lost, publisher=topic, clock=clock)
    await pipeline.process(
        records_of([event("A1", "price", 9, {"price": 3.0}), event("B", "item", 9, {"title": "New nut"})])
    )

    async def documents():
        yield list(before.values())

    sent: list[ChangeEvent] = []

    class Changes:
        async def send(self, events):
            sent.extend(events)
            await pipeline.process(records_of(events))

    truth = DocumentRows(documents, DocumentPolicy())
    run = Reconciliation(truth, lost, None, options=ReconcileOptions(), clock=clock, sleep=no_sleep)
    assert not (await run.compare()).agree
    await run.repair(Changes(), None)
    after = topic.compacted()
    assert (after[KEY].title, after[KEY].price) == ("Hex bolt M8", 3.0)
    assert after[SkuKey.of("acme", "B")].title == "New nut"
    assert after[SkuKey.of("acme", "C")].deleted
    assert all(document.rev > before[key].rev for key, document in after.items() if not document.deleted)
    assert {one.key.sku for one in sent} == {"A1"}
    again = Reconciliation(truth, lost, None, options=ReconcileOptions(), clock=clock, sleep=no_sleep)
    assert (await again.compare()).agree


@pytest.mark.parametrize(
    "late",
    [event("A1", "item", 9, {"title": "Late"}), event("A1", "price", 9, {"price": 3.0})],
    ids=["lives", "awaits its item"],
)
async def test_a_write_that_lands_late_in_the_new_store_is_lifted_above_its_document(late: ChangeEvent) -> None:
    topic, lost = DocumentLog(), MemoryIndex()
    behind = make_pipeline(lost, publisher=DocumentLog(), clock=FakeClock())
    await behind.process(records_of([late]))
    ahead = FakeClock()
    ahead.advance(60)
    await make_pipeline(MemoryIndex(), publisher=topic, clock=ahead).process(records_of([event("A1", "item", 5, BOLT)]))
    [published] = topic.compacted().values()
    assert (await lost.revisions([KEY]))[KEY] < published.rev

    async def documents():
        yield [published]

    class Changes:
        async def send(self, events):
            await behind.process(records_of(events))

    options = ReconcileOptions(settle_s=0)
    run = Reconciliation(DocumentRows(documents, DocumentPolicy()), lost, None, options=options, clock=ahead)
    report = await run.compare()
    assert report.counts[Kind.BEHIND] == 1
    [sample] = report.samples[Kind.BEHIND]
    assert sample["published_rev"] == published.rev
    await run.repair(Changes(), StoredDocuments(Target(lost, topic, build_document), ahead))
    assert (await lost.revisions([KEY]))[KEY] > published.rev
    again = Reconciliation(DocumentRows(documents, DocumentPolicy()), lost, None, options=options, clock=ahead)
    assert (await again.compare()).agree


async def test_of_a_store_that_took_anothers_place_every_point_is_lifted() -> None:
    # The late writer's own document stands last in the topic, and says nothing of what replicas have read before it.
    topic, lost = DocumentLog(), MemoryIndex()
    await make_pipeline(lost, publisher=topic, clock=FakeClock()).process(records_of([event("A1", "item", 9, BOLT)]))

    async def documents():
        yield list(topic.compacted().values())

    now = FakeClock()
    now.advance(60)
    options = ReconcileOptions(settle_s=0, lift_below=now.now_us())
    run = Reconciliation(DocumentRows(documents, DocumentPolicy()), lost, None, options=options, clock=now)
    assert (await run.compare()).counts == {Kind.BEHIND: 1}
    await run.repair(None, StoredDocuments(Target(lost, topic, build_document), now))
    assert (await lost.revisions([KEY]))[KEY] == topic.compacted()[KEY].rev > now.now_us()
