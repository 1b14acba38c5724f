"""After any stop the stores agree again, whatever each of them had lost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from ferroflux.data_directory import PreviousStop
from ferroflux.embedded.recovery import Found, fill_contents, reconcile, replay, restore
from indexer.journal import SqliteChangeJournal
from indexer.records import LogId
from retrieval.passages import text_hash
from retrieval.testing import HashingEncoder
from retrieval.text.memory import MemoryTextReader, MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Checkpoint
from retrieval.vectors.contents import SqliteContentVectors
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointWrite
from retrieval.vectors.spaces import spaces_of
from runtime.retry import Backoff, BackoffPolicy
from schemas.documents import SearchDocument
from schemas.errors import ContentionError, LogUnavailableError
from schemas.identity import SkuKey
from schemas.product.building import DEFAULT_POLICY
from schemas.product.changes import ChangeEvent
from schemas.product.merge import merge_all
from tests.support.indexing.fakes import DocumentLog, event, make_pipeline, records_of

LOG = LogId("log")

HISTORY = [
    event("A", "item", 1, {"title": "Clavo"}),
    event("B", "item", 1, {"title": "Pija"}),
    event("A", "price", 2, {"price": 3.0}),
    event("B", "item", 5, None),
    event("C", "item", 1, {"title": "Taquete"}),
    event("A", "item", 9, {"title": "Clavo 2 pulgadas"}),
]


class Stores:
    """A vector index, a replica, and the pipeline with the topic between them."""

    def __init__(self) -> None:
        self.index = MemoryIndex()
        self.topic = DocumentLog()
        self.pipeline = make_pipeline(self.index, publisher=self.topic)
        self._replica = MemoryTextStore()
        self.reader = MemoryTextReader(self._replica)

    async def take(self, events: list[ChangeEvent]) -> None:
        await self.pipeline.process(records_of(events))

    def tail(self, documents: list[SearchDocument] | None = None) -> None:
        newest = list(self.topic.compacted().values()) if documents is None else documents
        MemoryTextWriter(self._replica).apply(newest, Checkpoint("log"))
        self.reader.refresh()

    def published(self) -> list[SearchDocument]:
        return list(self.topic.compacted().values())

    async def agree_on(self, events: list[ChangeEvent]) -> None:
        """Both stores hold every product as the merge of the events has it, at the same revision."""
        keys = {one.key for one in events}
        points, documents = await self.index.read(list(keys)), self.reader.fetch(keys)
        for key in keys:
            expected = merge_all(one for one in events if one.key == key)
            assert points[key].state == expected.to_bytes(), key
            assert documents[key].rev == points[key].rev, key
            assert documents[key].deleted is not expected.alive, key


@pytest.fixture
async def journal(tmp_path: Path):
    opened = SqliteChangeJournal.open(tmp_path / "journal.db")
    yield opened
    await opened.close()


def ignore(*_: int) -> None:
    return None


async def test_documents_that_the_replica_missed_are_published_again() -> None:
    stores = Stores()
    await stores.take(HISTORY[:3])
    stores.tail()
    await stores.take(HISTORY[3:])
    stores.topic = None  # the broker is gone with what the replica had not read
    republished = DocumentLog()
    found = await reconcile(stores.index, stores.reader, make_pipeline(stores.index, publisher=republished))
    assert (found.compared, found.republished, found.raised, found.unknown) == (3, 3, 0, frozenset())
    stores.tail(list(republished.compacted().values()))
    await stores.agree_on(HISTORY)


async def test_stores_that_agree_are_left_alone() -> None:
    stores = Stores()
    await stores.take(HISTORY)
    stores.tail()
    published = len(stores.topic.compacted())
    found = await reconcile(stores.index, stores.reader, stores.pipeline)
    assert (found.compared, found.republished) == (3, 0)
    assert len(stores.topic.compacted()) == published


async def test_after_a_kill_only_what_lies_beyond_the_watermark_is_applied(journal: SqliteChangeJournal) -> None:
    stores = Stores()
    await journal.append(LOG, records_of(HISTORY))
    await stores.take(HISTORY[:4])
    topic = records_of(HISTORY)[0].topic
    await journal.mark_applied(LOG, {(topic, 0): 4})
    seen: list[tuple[int, int]] = []
    replayed = await replay(journal, stores.pipeline, lambda done, total: seen.append((done, total)))
    assert (replayed.records, seen[-1]) == (2, (2, 2))
    stores.tail()
    await stores.agree_on(HISTORY)
    assert (await replay(journal, stores.pipeline, ignore)).records == 0


async def test_after_a_power_cut_a_vector_index_that_lost_everything_catches_up_and_passes_the_replica(
    journal: SqliteChangeJournal,
) -> None:
    before = Stores()
    await journal.append(LOG, records_of(HISTORY))
    for one in HISTORY:
        await before.take([one])
    before.tail()
    await journal.mark_applied(LOG, {(records_of(HISTORY)[0].topic, 0): len(HISTORY)})

    after = Stores()
    after.tail(list(before.reader.fetch({one.key for one in HISTORY}).values()))
    await journal.forget_applied()
    assert (await replay(journal, after.pipeline, ignore)).records == len(HISTORY)
    after.tail()  # lower revisions than the replica's: refused
    found = await reconcile(after.index, after.reader, after.pipeline)
    assert found.raised > 0
    after.tail()
    await after.agree_on(HISTORY)


class Refusing(MemoryIndex):
    """Refuses the first guarded writes of a recovery, as a store does that answers before it has done them."""

    refusals = 0

    async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
        if self.refusals:
            self.refusals -= 1
            return frozenset(write.key for write in writes)
        return await super().write(writes)


@pytest.mark.parametrize("refusals", [1, 9])
async def test_a_revision_that_could_not_be_raised_is_tried_again_and_never_passed_over(refusals: int) -> None:
    before, after = Stores(), Stores()
    for one in HISTORY:
        await before.take([one])
    after.index = Refusing()
    after.pipeline = make_pipeline(after.index, publisher=after.topic)
    await after.take(HISTORY)
    after.tail(before.published())
    after.index.refusals = refusals
    if refusals == 1:
        assert (await reconcile(after.index, after.reader, after.pipeline)).raised > 0
        after.tail()
        await after.agree_on(HISTORY)
    else:
        with pytest.raises(ContentionError, match="revision"):
            await reconcile(after.index, after.reader, after.pipeline)


async def test_a_recovery_from_a_power_cut_that_is_killed_is_gone_on_from(journal: SqliteChangeJournal) -> None:
    """The second start finds a process that was killed, and may not take the watermarks of before the cut at their word."""
    await journal.append(LOG, records_of(HISTORY))
    await journal.mark_applied(LOG, {(records_of(HISTORY)[0].topic, 0): len(HISTORY)})

    class KilledError(BaseException):
        pass

    def killed(*_: int) -> None:
        raise KilledError

    after = Stores()
    assert Found(PreviousStop.MACHINE_DOWN).watermarks_are_void
    await journal.forget_applied()
    with pytest.raises(KilledError):
        await replay(journal, after.pipeline, killed)
    assert not Found(PreviousStop.KILLED).watermarks_are_void
    await replay(journal, after.pipeline, ignore)
    after.tail()
    await after.agree_on(HISTORY)


@pytest.mark.parametrize(
    ("found", "void", "compare"),
    [
        (Found(PreviousStop.CLEAN), False, False),
        (Found(PreviousStop.KILLED), False, True),
        (Found(PreviousStop.MACHINE_DOWN), True, True),
        (Found(PreviousStop.CLEAN, replica_is_new=True), False, True),
        (Found(PreviousStop.CLEAN, vectors_are_new=True), True, True),
        (Found(PreviousStop.CLEAN, vectors_are_others=True), True, True),
    ],
)
def test_what_a_start_repairs_follows_from_what_it_finds(found: Found, void: bool, compare: bool) -> None:
    assert (found.watermarks_are_void, found.stores_may_differ) == (void, compare)


async def test_a_product_that_only_the_replica_knows_is_counted() -> None:
    stores = Stores()
    await stores.take(HISTORY)
    stores.tail()
    found = await reconcile(MemoryIndex(), stores.reader, stores.pipeline)
    assert found.unknown == {one.key for one in HISTORY}


async def test_of_a_product_that_waits_for_its_item_nothing_is_published_and_nothing_is_unknown() -> None:
    stores = Stores()
    await stores.take([*HISTORY, event("W", "price", 1, {"price": 1.0})])
    stores.tail()
    found = await reconcile(stores.index, stores.reader, stores.pipeline)
    assert (found.republished, found.unknown) == (0, frozenset())
    # An item that the index has lost is no such product, whatever the index holds of its price.
    price = next(one for one in HISTORY if one.facet == "price")
    lost = MemoryIndex()
    await make_pipeline(lost, publisher=DocumentLog()).process(records_of([price]))
    found = await reconcile(lost, stores.reader, make_pipeline(lost, publisher=stores.topic))
    assert len(found.unknown) == 3
    assert not stores.topic.compacted()[price.key].deleted


async def test_a_lost_index_under_a_pruned_journal_is_restored_from_the_replica(journal: SqliteChangeJournal) -> None:
    before = Stores()
    await before.take(HISTORY)
    before.tail()
    # Of all that was journalled, only the newest record is left.
    (newest,) = records_of(HISTORY[-1:])
    await journal.append(LogId("log-1"), [newest])

    after = Stores()
    await replay(journal, after.pipeline, ignore)
    found = await reconcile(after.index, before.reader, after.pipeline)
    lost = await restore(found.unknown, before.reader, journal, topic="t", policy=DEFAULT_POLICY)
    assert lost == sum(not document.deleted for document in before.reader.fetch(found.unknown).values()) > 0
    await replay(journal, after.pipeline, ignore)
    again = await reconcile(after.index, before.reader, after.pipeline)
    alive = {key for key, document in before.topic.compacted().items() if not document.deleted}
    assert {key for key, point in (await after.index.read(sorted(alive))).items() if point.alive} == alive
    assert not again.unknown & alive


async def test_the_journal_notes_which_vector_index_its_watermarks_speak_of(tmp_path: Path) -> None:
    for noted, now in ((None, "c1"), ("c1", "c1"), ("c1", "c2"), ("c2", "c2")):
        opened = SqliteChangeJournal.open(tmp_path / "journal.db")
        assert await opened.collection() == noted
        await opened.speaks_of(now)
        await opened.close()


async def test_a_log_that_is_away_for_a_moment_does_not_end_the_recovery(journal: SqliteChangeJournal) -> None:
    class FlakyLog(DocumentLog):
        failures = 2

        async def publish(self, documents):
            if self.failures:
                self.failures -= 1
                raise LogUnavailableError
            return await super().publish(documents)

    topic = FlakyLog()
    await journal.append(LOG, records_of(HISTORY))
    await replay(journal, make_pipeline(MemoryIndex(), publisher=topic), ignore, Backoff(BackoffPolicy(0.0, 0.0)))
    assert set(topic.compacted()) == {SkuKey(one.key.tenant, one.key.sku) for one in HISTORY}


async def test_the_content_store_is_filled_once_with_what_an_older_release_computed() -> None:
    index, contents, encoder = MemoryIndex(), SqliteContentVectors(":memory:", 1 << 20), HashingEncoder()
    await make_pipeline(index).process(records_of(HISTORY))
    await fill_contents(contents, index, spaces_of(encoder.revision))
    texts = ["Clavo 2 pulgadas", "Taquete"]
    held = await contents.get("text", encoder.revision.id, [text_hash(text) for text in [*texts, "Pija"]])
    vectors = encoder.encode_passages(texts)
    assert np.allclose([held[text_hash(text)] for text in texts], vectors)
    assert len(held) == 2, "and no others: a batch computes a product's last text"
    await make_pipeline(index).process(records_of([event("D", "item", 1, {"title": "Lija"})]))
    await fill_contents(contents, index, spaces_of(encoder.revision))
    assert not await contents.get("text", encoder.revision.id, [text_hash("Lija")]), "not again"
    await contents.close()


async def test_a_text_that_changes_while_the_store_is_filled_leaves_no_vector_of_another_text() -> None:
    class Changing(MemoryIndex):
        async def vectors(self, keys, *, using):
            await make_pipeline(self).process(records_of([event("A", "item", 20, {"title": "Lija"})]))
            return await super().vectors(keys, using=using)

    index, contents, revision = Changing(), SqliteContentVectors(":memory:", 1 << 20), HashingEncoder().revision
    await make_pipeline(index).process(records_of(HISTORY))
    await fill_contents(contents, index, spaces_of(revision))
    assert set(await contents.get("text", revision.id, list(map(text_hash, ["Clavo 2 pulgadas", "Taquete"])))) == {
        text_hash("Taquete")
    }
    await contents.close()


async def test_a_content_store_that_cannot_be_filled_stops_nothing(tmp_path: Path) -> None:
    contents = SqliteContentVectors(tmp_path / "absent" / "contents.db", 1 << 20)
    with capture_logs() as logs:
        await fill_contents(contents, MemoryIndex(), spaces_of(HashingEncoder().revision))
    assert [entry["log_level"] for entry in logs] == ["warning"]
    await contents.close()
