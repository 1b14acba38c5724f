"""Garbage collection of tombstones: what is due, what is kept, and what a crash or a revival in the middle does."""

from collections.abc import AsyncIterator, Sequence

import pytest

from indexer.ports import Published
from indexer.tombstone_gc import GcCounts, Tombstone, TombstoneGc, read_tombstone
from query_api.replica.tailing.decode import decode
from query_api.replica.tailing.log import LogRecord
from retrieval.text.memory import MemoryTextReader, MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Checkpoint
from retrieval.vectors.memory import MemoryIndex
from schemas.documents import SearchDocument
from schemas.errors import LogUnavailableError
from schemas.identity import SkuKey, TenantId
from tests.support.indexing.fakes import FakeClock, event, make_pipeline, records_of

KEY = SkuKey.of("acme", "A1")
BOLT = {"title": "Hex bolt"}


class Topic:
    """The documents topic with null records, as raw keys and values; the gc's source and remover, too."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes | None]] = []
        self.fails_after_remove = False

    async def publish(self, documents: Sequence[SearchDocument]) -> Published:
        self.records += [(document.key.kafka_key, document.to_bytes()) for document in documents]
        return Published()

    async def remove(self, keys: Sequence[SkuKey]) -> None:
        self.records += [(key.kafka_key, None) for key in keys]
        if self.fails_after_remove:
            raise LogUnavailableError

    async def tombstones(self) -> AsyncIterator[Sequence[Tombstone]]:
        last = dict(self.records)
        found = [read_tombstone(key, value) for key, value in last.items()]
        yield [one for one in found if isinstance(one, Tombstone)]

    def replica(self) -> dict[SkuKey, SearchDocument]:
        """What a replica holds that read the whole topic, record by record."""
        store = MemoryTextStore()
        writer = MemoryTextWriter(store)
        for offset, (key, value) in enumerate(self.records):
            decoded = decode([LogRecord(0, offset, key, value)])
            writer.apply(decoded.documents, Checkpoint("log"), removed=decoded.removed)
        return MemoryTextReader(store).fetch([SkuKey.parse(key.decode()) for key, _ in self.records])


class Setting:
    def __init__(self) -> None:
        self.index, self.topic, self.clock = MemoryIndex(), Topic(), FakeClock()
        self.pipeline = make_pipeline(self.index, publisher=self.topic, clock=self.clock)
        self.gc = TombstoneGc(self.index, self.topic, self.topic, self.pipeline.republish)

    async def collect(self, *, apply: bool = True, tenant: str = "") -> GcCounts:
        return await self.gc.run(
            before_us=self.clock.now_us(), apply=apply, tenant=TenantId(tenant) if tenant else None
        )

    async def deleted(self) -> "Setting":
        await self.pipeline.process(records_of([event("A1", "item", 10, BOLT)]))
        await self.pipeline.process(records_of([event("A1", "item", 20, None)]))
        self.clock.advance(100)
        return self


async def test_a_dry_run_counts_and_changes_nothing() -> None:
    setting = await Setting().deleted()
    before = list(setting.topic.records)
    assert await setting.collect(apply=False) == GcCounts(tombstones=1, due=1)
    assert setting.topic.records == before
    assert KEY in await setting.index.read([KEY])


async def test_a_tombstone_past_the_window_leaves_store_topic_and_replica() -> None:
    setting = await Setting().deleted()
    assert await setting.collect() == GcCounts(tombstones=1, due=1, removed=1)
    assert await setting.index.read([KEY]) == {}
    assert setting.topic.records[-1] == (KEY.kafka_key, None)
    assert setting.topic.replica() == {}
    assert await setting.collect() == GcCounts()


async def test_a_stale_event_keeps_the_tombstone_for_another_window() -> None:
    setting = await Setting().deleted()
    deadline = setting.clock.now_us() - 1
    await setting.pipeline.process(records_of([event("A1", "item", 15, BOLT)]))
    found = await setting.gc.run(before_us=deadline, apply=True)
    assert found == GcCounts(tombstones=1, within_reach=1)
    assert setting.topic.replica()[KEY].deleted


async def test_living_products_and_other_tenants_are_none_of_its_business() -> None:
    setting = await Setting().deleted()
    await setting.pipeline.process(records_of([event("B1", "item", 10, BOLT)]))
    assert await setting.collect(tenant="bolt") == GcCounts()
    await setting.collect()
    assert set(setting.topic.replica()) == {SkuKey.of("acme", "B1")}


async def test_a_product_that_comes_back_before_the_null_record_is_published_again() -> None:
    setting = await Setting().deleted()
    remove = setting.topic.remove

    async def late(keys: Sequence[SkuKey]) -> None:
        await setting.pipeline.process(records_of([event("A1", "item", 30, BOLT)]))
        await remove(keys)

    setting.topic.remove = late  # type: ignore[method-assign] # the revival happens in the middle
    assert await setting.collect() == GcCounts(tombstones=1, due=1, revived=1)
    assert not setting.topic.replica()[KEY].deleted
    assert (await setting.index.read([KEY]))[KEY].alive


async def test_a_crash_after_the_null_record_is_made_good_by_the_next_run_or_by_a_republication() -> None:
    setting = await Setting().deleted()
    setting.topic.fails_after_remove = True
    with pytest.raises(LogUnavailableError):
        await setting.collect()
    setting.topic.fails_after_remove = False
    assert KEY in await setting.index.read([KEY])
    await setting.pipeline.process(records_of([event("A1", "item", 15, BOLT)]))
    assert setting.topic.replica()[KEY].deleted
    setting.clock.advance(10)
    assert (await setting.collect()).removed == 1
    assert setting.topic.replica() == {}


async def test_a_product_created_again_after_its_collection_stands_above_every_old_revision() -> None:
    setting = await Setting().deleted()
    old = setting.topic.replica()[KEY].rev
    await setting.collect()
    await setting.pipeline.process(records_of([event("A1", "item", 30, BOLT)]))
    assert setting.topic.replica()[KEY].rev > old
    # Even a replica that slept through the null record, and still holds the tombstone, takes it.
    setting.topic.records = [record for record in setting.topic.records if record[1] is not None]
    assert not setting.topic.replica()[KEY].deleted


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        (b"acme/A1", b'{"rev": 4, "deleted": true, "times": {"indexed_us": 9}}', Tombstone(KEY, 4, 9)),
        (b"acme/A1", b'{"rev": 4, "deleted": true}', Tombstone(KEY, 4, 0)),
        (b"acme/A1", b'{"rev": 4}', KEY),
        (b"acme/A1", None, KEY),
        (b"acme/A1", b"no json", None),
        (None, b"{}", None),
    ],
)
def test_only_deleted_documents_are_tombstones(key: bytes | None, value: bytes | None, read: object) -> None:
    assert read_tombstone(key, value) == read


async def test_what_waits_for_its_item_outlives_the_collection_of_a_tombstone_that_was_left_over() -> None:
    setting = Setting()
    await setting.pipeline.process(records_of([event("A1", "price", 10, {"price": 2.5})]))
    assert setting.topic.records == []
    (waiting,) = (await setting.index.read([KEY])).values()
    # An earlier release published a tombstone of such a product.
    left_over = SearchDocument(tenant=KEY.tenant, sku=KEY.sku, rev=waiting.rev, state="0" * 16, deleted=True)
    await setting.topic.publish([left_over])
    setting.clock.advance(100)

    assert await setting.collect() == GcCounts(tombstones=1, due=1, removed=1)
    assert setting.topic.replica() == {}
    assert (await setting.index.read([KEY]))[KEY] == waiting
    await setting.pipeline.process(records_of([event("A1", "item", 10, BOLT)]))
    assert setting.topic.replica()[KEY].price == 2.5
