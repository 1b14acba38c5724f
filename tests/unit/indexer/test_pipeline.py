"""One batch through the pipeline, on fakes."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from indexer.batch.plan import Arrival
from indexer.batch.settling import PipelineLimits
from indexer.ports import LeaseLostError, Published
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import AnyVector, PointPayload, PointWrite
from retrieval.vectors.spaces import TEXT_VECTOR
from schemas.documents import SearchDocument
from schemas.errors import ContentionError, LogUnavailableError, StoreUnavailableError
from schemas.identity import SkuKey
from schemas.product.building import build_document
from schemas.product.merge import ItemState, merge_all
from tests.support.indexing.fakes import (
    CountingEncoder,
    DeadLetterLog,
    DocumentLog,
    FakeClock,
    LostLease,
    event,
    make_pipeline,
    record,
    records_of,
)

KEY = SkuKey.of("acme", "A1")
BOLT = {"title": "Hex bolt M8"}
NEW = event("A1", "item", 10, BOLT)
PRICE = event("A1", "price", 11, {"price": 2.5})


def writes_published(log: DocumentLog) -> list[int]:
    """Which write of its product each document tells of: revisions count on from the time of the first."""
    return [document.rev - FakeClock().now_us() + 1 for document in log.documents]


async def test_a_batch_ends_in_the_store_and_in_the_documents_topic() -> None:
    index, log = MemoryIndex(), DocumentLog()
    events = [NEW, PRICE, event("B1", "item", 1, {"title": "Nut"}), event("B1", "item", 2, None)]
    report = await make_pipeline(index, publisher=log).process(records_of(events))

    stored = await index.read([KEY, SkuKey.of("acme", "B1")])
    for key, payload in stored.items():
        assert ItemState.from_bytes(payload.state) == merge_all(one for one in events if one.key == key)
    documents = log.compacted()
    assert documents[KEY].price == 2.5
    assert documents[SkuKey.of("acme", "B1")].deleted
    assert (report.applied, report.embedded, report.deleted) == (4, 1, 1)
    assert await index.vectors([KEY], using=TEXT_VECTOR)


async def test_a_price_costs_no_inference_and_keeps_the_vector() -> None:
    index, encoder = MemoryIndex(), CountingEncoder()
    pipeline = make_pipeline(index, encoder=encoder)
    await pipeline.process(records_of([NEW]))
    before = (await index.vectors([KEY], using=TEXT_VECTOR))[KEY]
    report = await pipeline.process([record(PRICE)])
    assert encoder.texts == ["Hex bolt M8"]
    assert ((await index.vectors([KEY], using=TEXT_VECTOR))[KEY] == before).all()
    assert report.patched == 1


async def test_redelivery_publishes_again_without_inference_or_write() -> None:
    index, log, encoder = MemoryIndex(), DocumentLog(), CountingEncoder()
    pipeline = make_pipeline(index, publisher=log, encoder=encoder)
    log.fail_next = LogUnavailableError()
    with pytest.raises(LogUnavailableError):
        await pipeline.process(records_of([NEW]))
    assert log.documents == []

    report = await pipeline.process(records_of([NEW]))
    assert writes_published(log) == [1]
    assert (report.duplicates, report.republished, len(encoder.texts)) == (1, 1, 1)


async def test_stale_events_are_counted_and_change_nothing() -> None:
    index, log = MemoryIndex(), DocumentLog()
    pipeline = make_pipeline(index, publisher=log)
    await pipeline.process(records_of([NEW, event("A1", "item", 20, None)]))
    report = await pipeline.process(records_of([event("A1", "item", 15, BOLT)]))
    assert (report.stale, report.applied) == (1, 0)
    assert writes_published(log) == [1, 1]
    assert all(document.deleted for document in log.documents)
    assert not (await index.read([KEY]))[KEY].alive


class Overtaken(DocumentLog):
    """A documents topic before which the writer stops once, while another writer goes all the way through."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile = asyncio.Event()
        self.other: object = None

    async def publish(self, documents: Sequence[SearchDocument]) -> Published:
        if self.other is not None:
            other, self.other = self.other, None
            await other  # type: ignore[misc] # a coroutine, awaited once
        return await super().publish(documents)


async def test_a_writer_that_wakes_after_a_newer_document_publishes_the_newer_one_last() -> None:
    index, log = MemoryIndex(), Overtaken()
    slow, quick = make_pipeline(index, publisher=log), make_pipeline(index, publisher=log)
    log.other = quick.process(records_of([PRICE], partition=1))
    report = await slow.process(records_of([NEW]))
    assert writes_published(log) == [2, 1, 2]
    assert log.documents[-1].price == 2.5
    assert report.superseded == 1


async def test_a_writer_that_dies_after_producing_an_overtaken_document_is_made_good_by_redelivery() -> None:
    index, log = MemoryIndex(), Overtaken()

    class DyingIndex(MemoryIndex):
        async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
            return await index.read(keys)

        async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
            return await index.write(writes)

        async def revisions(self, keys: Sequence[SkuKey]) -> dict[SkuKey, int]:
            raise asyncio.CancelledError

    newer = records_of([event("A1", "item", 11, {"title": "Hex bolt M10"})], partition=1)
    log.other = make_pipeline(index, publisher=log).process(newer)
    with pytest.raises(asyncio.CancelledError):
        await make_pipeline(DyingIndex(), publisher=log).process(records_of([NEW]))
    assert log.compacted()[KEY].title == "Hex bolt M8"

    report = await make_pipeline(index, publisher=log).process(records_of([NEW]))
    assert (report.stale, log.compacted()[KEY].title) == (1, "Hex bolt M10")


async def test_a_writer_that_slept_long_does_not_publish_what_was_overtaken() -> None:
    index, log, clock = MemoryIndex(), DocumentLog(), FakeClock()

    class Sleepy(MemoryIndex):
        async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
            refused = await index.write(writes)
            await make_pipeline(index, publisher=log).process(records_of([PRICE], partition=1))
            clock.advance(60)
            return refused

        async def read(self, keys: Sequence[SkuKey]) -> dict[SkuKey, PointPayload]:
            return await index.read(keys)

        async def revisions(self, keys: Sequence[SkuKey]) -> dict[SkuKey, int]:
            return await index.revisions(keys)

    await make_pipeline(Sleepy(), publisher=log, clock=clock).process(records_of([NEW]))
    assert writes_published(log) == [2, 2]


async def test_a_store_that_confirms_and_forgets_is_found_out() -> None:
    class Forgetful(MemoryIndex):
        async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
            del writes
            return frozenset()

    with pytest.raises(StoreUnavailableError, match="lost a write"):
        await make_pipeline(Forgetful()).process(records_of([NEW]))


async def test_endless_contention_ends_in_an_error_that_can_be_retried() -> None:
    class Refusing(MemoryIndex):
        async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
            return frozenset(write.key for write in writes)

    log = DocumentLog()
    with pytest.raises(ContentionError):
        await make_pipeline(Refusing(), publisher=log).process(records_of([NEW]))
    assert log.documents == []


async def test_changes_without_inference_do_not_wait_for_those_with() -> None:
    index, log = MemoryIndex(), DocumentLog()
    await make_pipeline(index).process(records_of([NEW]))
    released = asyncio.Event()

    class Slow(CountingEncoder):
        async def encode(self, space: str, texts: Sequence[str]) -> Sequence[AnyVector]:
            await released.wait()
            return await super().encode(space, texts)

    events = [*(event(f"N{n}", "item", 1, {"title": f"Nut {n}"}) for n in range(10)), PRICE]
    working = asyncio.create_task(make_pipeline(index, publisher=log, encoder=Slow()).process(records_of(events)))
    for _ in range(10):
        await asyncio.sleep(0)
    assert [str(document.key) for document in log.documents] == ["acme/A1"]
    released.set()
    report = await working
    assert (report.embedded, report.patched, len(log.documents)) == (10, 1, 11)


async def test_two_chunks_are_encoded_ahead_of_the_one_that_is_written() -> None:
    order: list[str] = []

    class Telling(CountingEncoder):
        async def encode(self, space: str, texts: Sequence[str]) -> Sequence[AnyVector]:
            order.append(f"encode {len(self.texts)}")
            return await super().encode(space, texts)

    class TellingIndex(MemoryIndex):
        async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
            await asyncio.sleep(0)
            order.append("write")
            return await super().write(writes)

    events = [event(f"N{n}", "item", 1, {"title": f"Nut {n}"}) for n in range(9)]
    await make_pipeline(TellingIndex(), encoder=Telling()).process(records_of(events))
    assert order == ["encode 0", "encode 4", "encode 8", "write", "write", "write"]


async def test_texts_of_like_length_are_encoded_together_and_keep_their_vectors() -> None:
    index, encoder = MemoryIndex(), CountingEncoder()
    titles = ["Nut " * (1 + number % 3) for number in range(12)]
    events = [event(f"N{number}", "item", 1, {"title": title}) for number, title in enumerate(titles)]
    await make_pipeline(index, encoder=encoder).process(records_of(events))
    assert [len(text.split()) for text in encoder.texts] == [1] * 4 + [2] * 4 + [3] * 4
    for one in events:
        (vector,) = await encoder.encode(TEXT_VECTOR, [str(one.fields["title"]).strip()])
        assert ((await index.vectors([one.key], using=TEXT_VECTOR))[one.key] == vector).all()


async def test_an_encoder_that_fails_leaves_no_task_behind_and_no_write() -> None:
    class Broken(CountingEncoder):
        async def encode(self, space: str, texts: Sequence[str]) -> Sequence[AnyVector]:
            raise MemoryError("out of memory")

    index = MemoryIndex()
    with pytest.raises(MemoryError, match="out of memory"):
        await make_pipeline(index, encoder=Broken()).process(records_of([NEW]))
    assert await index.read([KEY]) == {}
    assert len(asyncio.all_tasks()) == 1


async def test_bad_records_are_buried_and_the_good_ones_go_on() -> None:
    letters, log = DeadLetterLog(), DocumentLog()
    batch = [record(b"{not json", 0), record(NEW, 1), record(b"[]", 2), record(None, 3), record(PRICE, 4)]
    report = await make_pipeline(dead_letters=letters, publisher=log).process(batch)
    assert [letter.record.offset for letter in letters.letters] == [0, 2]
    assert (report.applied, report.ignored, dict(report.dead_letters)) == (2, 1, {"unparsable": 2})
    assert log.compacted()[KEY].price == 2.5


async def test_a_product_that_cannot_be_composed_is_buried_with_all_its_records() -> None:
    def compose(key: SkuKey, state: ItemState, **options: object) -> SearchDocument:
        if key == KEY:
            raise KeyError("a defect")
        return build_document(key, state, **options)  # type: ignore[arg-type] # passed on as they came

    letters, index = DeadLetterLog(), MemoryIndex()
    batch = records_of([NEW, PRICE, event("B1", "item", 1, BOLT)])
    await make_pipeline(index, compose=compose, dead_letters=letters).process(batch)
    assert [(letter.record.offset, letter.reason, letter.tenant) for letter in letters.letters] == [
        (0, "unexpected", "acme"),
        (1, "unexpected", "acme"),
    ]
    assert list(await index.read([KEY, SkuKey.of("acme", "B1")])) == [SkuKey.of("acme", "B1")]


@pytest.mark.parametrize(("checks", "written", "published"), [(0, 0, 0), (1, 1, 0), (2, 1, 1)])
async def test_a_lost_lease_stops_before_the_next_effect(checks: int, written: int, published: int) -> None:
    index, log = MemoryIndex(), DocumentLog()
    batch = [record(NEW, 0), record(b"bad", 1)]
    with pytest.raises(LeaseLostError):
        await make_pipeline(index, publisher=log).process(batch, LostLease(checks))
    assert (len(await index.read([KEY])), len(log.documents)) == (written, published)


async def test_republish_gives_the_stored_documents_and_leaves_out_what_is_not_there() -> None:
    index, log = MemoryIndex(), DocumentLog()
    await make_pipeline(index).process(records_of([NEW, PRICE]))
    report = await make_pipeline(index, publisher=log).republish([KEY, SkuKey.of("acme", "none"), KEY])
    assert report.republished == 1
    assert writes_published(log) == [1]
    assert [(document.price, bool(document.text_hash)) for document in log.documents] == [(2.5, True)]


async def test_replayed_changes_enter_by_apply_and_cannot_go_backwards() -> None:
    index, log = MemoryIndex(), DocumentLog()
    pipeline = make_pipeline(index, publisher=log, limits=PipelineLimits())
    await pipeline.process(records_of([NEW, event("A1", "item", 12, {"title": "Hex bolt M10"})]))
    report = await pipeline.apply([Arrival(NEW, record(NEW))])
    assert report.stale == 1
    assert log.compacted()[KEY].title == "Hex bolt M10"


async def test_only_live_changes_are_samples_of_freshness() -> None:
    log = DocumentLog()
    pipeline = make_pipeline(MemoryIndex(), publisher=log, bulk_topic="bulk")
    loaded = await pipeline.process([replace(record(NEW), topic="bulk")])
    replayed = await pipeline.apply([Arrival(PRICE, record(PRICE))])
    live = await pipeline.process([record(event("A1", "stock", 12, {"stock": 4}))])
    assert [len(report.freshness) for report in (loaded, replayed, live)] == [0, 0, 1]
    assert [document.times.backfill for document in log.documents] == [True, True, False]


async def test_changes_that_cannot_be_ordered_are_named() -> None:
    pipeline = make_pipeline(MemoryIndex())
    twins = [event("A1", "item", 10, {"title": f"Row {number}"}) for number in range(9)]
    with capture_logs() as logs:
        report = await pipeline.process(records_of(twins))
    assert report.conflicts >= 5
    [warning] = [entry for entry in logs if "one version" in entry["event"]]
    assert warning["changes"] == report.conflicts
    assert warning["first"] == ["acme/A1 item at 0:10"] * 5


async def test_a_price_of_a_product_that_no_item_told_of_is_kept_and_publishes_nothing() -> None:
    index, log = MemoryIndex(), DocumentLog()
    pipeline = make_pipeline(index, publisher=log)
    report = await pipeline.process(records_of([PRICE, event("A1", "stock:b2", 12, {"stock": 4})]))
    assert (report.awaiting, report.deleted, log.documents) == (1, 0, [])
    assert (await pipeline.republish([KEY])).republished == 0
    again = await pipeline.process(records_of([PRICE]))
    assert (again.awaiting, log.documents) == (1, [])

    await pipeline.process(records_of([NEW]))
    assert (log.compacted()[KEY].price, log.compacted()[KEY].stock) == (2.5, 4)


async def test_a_store_that_is_lost_deletes_nothing_in_the_topic_when_prices_go_on() -> None:
    log = DocumentLog()
    await make_pipeline(MemoryIndex(), publisher=log).process(records_of([NEW]))
    await make_pipeline(MemoryIndex(), publisher=log).process(records_of([PRICE]))
    assert not log.compacted()[KEY].deleted
