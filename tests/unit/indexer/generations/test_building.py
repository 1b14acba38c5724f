"""What a build reads, takes over, seeds and leaves to others."""

import random
from dataclasses import replace

import numpy as np
import pytest

from indexer.batch.embedding import CollectionReuse, Embedding, OffLoopEncoder
from indexer.batch.settling import Settler
from indexer.generations.backfill import Backfill
from indexer.generations.build import ChangeLogRange, both, lag_of, origin_of, starts_of, waiting_in
from indexer.generations.leadership import OVERLAP_US, LeaderDeadLetterSink, Leadership
from indexer.generations.settings import configured_by, settings_for
from indexer.kafka.diversion import SnapshotDiversion
from indexer.ports import Target, Timing
from indexer.records import DeadLetter, InboundRecord
from indexer.settings import IndexerSettings
from retrieval.generations.view import GenerationView
from retrieval.testing import HashingEncoder
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointWrite
from retrieval.vectors.spaces import TEXT_VECTOR, spaces_of
from schemas.errors import ConfigurationError
from schemas.identity import SkuKey
from schemas.product.building import build_document
from schemas.records.generations import MAIN, Origin, Pointer
from tests.contracts.generation_store_suite import manifest
from tests.support.indexing.fakes import DeadLetterLog, DocumentLog, FakeClock, event, make_pipeline, records_of
from tests.support.stack.histories import history
from tests.support.stack.oracle import oracle_of

WHOLE, CUT = {("t", 0): 0, ("t", 1): 0}, {("t", 0): 0, ("t", 1): 40}


def test_a_build_reads_the_change_log_where_it_is_whole_and_the_documents_where_it_was_cut():
    assert origin_of(ChangeLogRange(WHOLE, {}), None) is Origin.CHANGES
    assert origin_of(ChangeLogRange(WHOLE, {}), Origin.DOCUMENTS) is Origin.DOCUMENTS
    assert origin_of(ChangeLogRange(CUT, {}), None) is Origin.DOCUMENTS
    with pytest.raises(ConfigurationError, match="t/1 begins at 40"):
        origin_of(ChangeLogRange(CUT, {}), Origin.CHANGES)


def test_after_seeding_a_group_begins_where_the_live_one_had_got_to():
    log_range = ChangeLogRange(CUT, {("t", 0): 7, ("t", 1): 12})
    made = manifest("a", starts=log_range.starts)
    assert starts_of(made) == {("t", 0): 7, ("t", 1): 40}
    assert lag_of({("t", 0): 7}, CUT, {("t", 0): 10, ("t", 1): 45}) == 3 + 5


def test_a_generation_has_a_group_a_collection_and_a_topic_of_its_own():
    settings = IndexerSettings()
    own = settings_for(settings, manifest("a", created_us=5))
    assert own.vectors.collection == "catalogue.a"
    assert own.kafka.topics.documents == "catalog.documents.a"
    assert own.kafka.topics.changes == settings.kafka.topics.changes
    assert own.consumer.group_id == "ferroflux-indexer.a.5"
    assert settings_for(settings, configured_by(settings)) == settings


def view(live: str, previous: str | None, moved_us: int = 1_000_000_000) -> GenerationView:
    return GenerationView(pointer=Pointer(live=live, previous=previous, epoch=1, moved_us=moved_us))


def test_poison_is_buried_by_the_live_generation_and_by_the_one_before_what_it_had_in_its_log():
    old, new, other = (Leadership(name, view("a", MAIN)) for name in (MAIN, "a", "b"))
    moved = 1_000_000_000
    for logged_us in (0, moved - 1, moved + 1, moved + 10 * OVERLAP_US):
        assert new.sends_to_dlq(logged_us)
        assert not other.sends_to_dlq(logged_us)
        assert old.sends_to_dlq(logged_us) == (logged_us < moved + OVERLAP_US)
    assert Leadership(MAIN).sends_to_dlq(5)
    assert not Leadership("a").sends_to_dlq(5)


async def test_letters_that_are_not_ours_are_left_to_the_live_generation():
    sent = []

    class Sink:
        async def send(self, letters):
            sent.extend(letters)

    letter = DeadLetter(InboundRecord("t", 0, 1, 5, None, b"x"), "unparsable", "why")
    await LeaderDeadLetterSink(Sink(), Leadership("a", view(MAIN, None))).send([letter])
    assert sent == []
    await LeaderDeadLetterSink(Sink(), Leadership("a", view("a", MAIN))).send([letter])
    assert sent == [letter]


async def test_snapshots_are_moved_by_one_generation_and_worked_on_by_the_others():
    record = InboundRecord("t", 0, 1, 5, None, b'{"op":"r"}')

    class Writer:
        def __init__(self):
            self.moved = []

        async def append_each(self, topic, records):
            self.moved += records
            return [None] * len(records)

    writer = Writer()
    assert await SnapshotDiversion(writer, "bulk", due=lambda: False)([record]) == [record]
    assert writer.moved == []
    assert await SnapshotDiversion(writer, "bulk", due=lambda: True)([record]) == []
    assert len(writer.moved) == 1


class CountingEncoder(HashingEncoder):
    texts = 0

    def encode_passages(self, texts):
        self.texts += len(texts)
        return super().encode_passages(texts)


def inbound(records) -> list[InboundRecord]:
    return [InboundRecord("t", 0, number, number, one.key, one.value) for number, one in enumerate(records)]


async def taken_in(records, index, encoder, donor=None) -> DocumentLog:
    await index.prepare(spaces_of(encoder.revision))
    log = DocumentLog()
    pipeline = make_pipeline(index, publisher=log, encoder=OffLoopEncoder(encoder, None), reuse=donor)
    await pipeline.process(inbound(records))
    return log


async def test_a_rebuild_with_the_same_model_takes_every_vector_over_and_with_another_none():
    records = history(1, skus=40, changes=300)
    source, same, other = MemoryIndex(), MemoryIndex(), MemoryIndex()
    await taken_in(records, source, HashingEncoder(16))
    encoder = CountingEncoder(16)
    donor = CollectionReuse(source, spaces_of(encoder.revision))
    await taken_in(records, same, encoder, donor)
    alive = [key for key, state in oracle_of(records).items() if state.alive]
    assert encoder.texts == 0
    assert donor.given == len(alive)
    held, given = await source.vectors(alive, using=TEXT_VECTOR), await same.vectors(alive, using=TEXT_VECTOR)
    assert all(np.allclose(held[key], given[key], atol=1e-6) for key in alive)

    another = CountingEncoder(8)
    donor = CollectionReuse(source, spaces_of(another.revision))
    await taken_in(records, other, another, donor)
    assert (donor.given, another.texts) == (0, len(alive))


async def test_only_texts_that_differ_are_encoded():
    records = history(1, skus=40, changes=300)
    source, target, encoder = MemoryIndex(), MemoryIndex(), CountingEncoder(16)
    await taken_in(records[:200], source, HashingEncoder(16))
    donor = CollectionReuse(source, spaces_of(encoder.revision))
    await taken_in(records, target, encoder, donor)
    alive = sum(state.alive for state in oracle_of(records).values())
    assert 0 < encoder.texts < alive
    assert donor.given + encoder.texts == alive


class Fails(MemoryIndex):
    """Refuses the first write of each key, as a store does where another writer was faster."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    async def write(self, writes):
        first = {write.key for write in writes} - self.seen
        self.seen |= first
        return frozenset(first) | await super().write([write for write in writes if write.key not in first])


def seeder_of(source, target, log, encoder, reuse=None) -> Backfill:
    embedding = Embedding(OffLoopEncoder(encoder, None), reuse)
    timing = Timing(FakeClock(), random.Random(1))
    return Backfill(Settler(Target(target, log, build_document), embedding, timing), source)


async def test_seeding_joins_every_state_publishes_it_and_does_it_once():
    records = history(2, skus=50, changes=400)
    source, target = MemoryIndex(), Fails()
    await taken_in(records[:300], source, HashingEncoder(16))
    encoder = CountingEncoder(16)
    await taken_in(records[300:], target, encoder)  # live changes may come first
    before = encoder.texts
    log = DocumentLog()
    seeder = seeder_of(source, target, log, encoder, CollectionReuse(source, spaces_of(encoder.revision)))
    ghost, removed = SkuKey.of("acme", "GHOST"), SkuKey.of("acme", "REMOVED")

    async def listing():
        yield {**dict.fromkeys(oracle_of(records[:300]), True), ghost: True, removed: True}
        yield {removed: False}

    seeded = await seeder.run(listing())
    assert seeded.without_state == {ghost}
    wanted = oracle_of(records)
    held = await target.read(list(wanted))
    assert {key: payload.state for key, payload in held.items()} == {key: one.to_bytes() for key, one in wanted.items()}
    assert encoder.texts - before < seeded.products
    published = log.compacted()
    assert all(published[key].rev == held[key].rev for key in published)
    again = await seeder.run(listing())
    assert (again.products, again.embedded) == (0, 0)


async def test_what_waits_for_its_item_is_taken_over_though_no_document_lists_it():
    source, target, log = MemoryIndex(), MemoryIndex(), DocumentLog()
    there, waits = event("A", "item", 1, {"title": "Clavo"}), event("B", "price", 1, {"price": 2.0})
    await make_pipeline(source).process(records_of([there, event("D", "item", 1, None), waits]))
    seeder = seeder_of(source, target, log, HashingEncoder(16))

    async def listed():
        yield {there.key: True}

    seeded = await seeder.run(both(listed(), waiting_in(source)))
    assert (await target.read([waits.key]))[waits.key].state == (await source.read([waits.key]))[waits.key].state
    assert set(log.compacted()) == {there.key}
    assert (seeded.products, seeded.without_state) == (2, set())


async def test_one_product_that_cannot_be_seeded_is_set_apart_and_the_rest_is_taken_over():
    records = history(2, skus=12, changes=60)
    source, target, log = MemoryIndex(), MemoryIndex(), DocumentLog()
    await taken_in(records, source, HashingEncoder(16))
    wanted = {key: state for key, state in oracle_of(records).items() if state.alive}
    torn, unsendable, *rest = sorted(wanted)
    held = (await source.read([torn]))[torn]
    await source.write([PointWrite(torn, held.rev, replace(held, rev=held.rev + 1, state=b"{torn"))])
    log.refuses = {unsendable.sku}
    seeder = seeder_of(source, target, log, HashingEncoder(16))

    async def listing():
        yield dict.fromkeys(wanted, True)

    seeded = await seeder.run(listing())
    assert {key: fault.stage for key, fault in seeded.apart.items()} == {torn: "plan", unsendable: "publish"}
    assert set(log.compacted()) == set(rest)
    assert seeded.without_state == set()


async def test_what_a_later_stage_finds_is_buried_by_the_generation_that_finds_it():
    letters, leadership = DeadLetterLog(), Leadership("new")
    found = [
        DeadLetter(InboundRecord("t", 0, offset, 5, None, b""), "unexpected", "d", stage=stage)
        for offset, stage in enumerate(("parse", "encode", "plan"))
    ]
    await LeaderDeadLetterSink(letters, leadership).send(found)
    assert [letter.stage for letter in letters.letters] == ["encode", "plan"]
    assert leadership.found == {"unexpected": 2}
