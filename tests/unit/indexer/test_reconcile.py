"""What differs between the truth and the stores is found, told, and mended through the log alone."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.reconcile.compare import Kind, compare_row, next_version, winning_version
from indexer.reconcile.log_sources import ChangeLogRows
from indexer.reconcile.ports import NO_DOCUMENTS
from indexer.reconcile.run import ReconcileOptions, Reconciliation
from indexer.records import InboundRecord
from retrieval.text.memory import MemoryTextReader, MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Checkpoint
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointPayload, PointWrite
from schemas.errors import ConfigurationError
from schemas.events.admission import AdmissionRules
from schemas.events.canonical import encode_event
from schemas.events.parser import Changes, EventParser
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent
from schemas.product.merge import FacetState, merge_all
from schemas.product.sources import FIRST_OPERATOR_EPOCH, MAX_OPERATOR_EPOCH, OPERATOR_SOURCE
from schemas.version import MAX_EPOCH, MAX_SEQUENCE, SourceVersion
from tests.support.indexing.fakes import DocumentLog, FakeClock, event, make_pipeline, no_sleep, record, records_of

KEY = SkuKey.of("acme", "A")


def clock() -> FakeClock:
    """A clock of today: a commit time before 1973 would be taken for another unit."""
    today = FakeClock()
    today.seconds = 1.7e9
    return today


class Rows:
    """A truth that gives rows."""

    name = "rows"
    exact = True
    rejected = 0
    facets = frozenset({"item", "price"})
    documents = NO_DOCUMENTS

    def __init__(self, *rows: ChangeEvent, read_at: SourceVersion | None = None) -> None:
        self._rows = rows
        self.read_at = read_at
        self.versioned = read_at is not None

    async def pages(self) -> AsyncIterator[Sequence[ChangeEvent]]:
        for row in self._rows:
            yield [row]


class Installation:
    """Both stores, the pipeline before them, and the two topics."""

    def __init__(self) -> None:
        self.index = MemoryIndex()
        self.documents = DocumentLog()
        self.pipeline = make_pipeline(self.index, publisher=self.documents)
        self.replica = MemoryTextStore()
        self.reader = MemoryTextReader(self.replica)
        self.sent: list[ChangeEvent] = []
        self.overtaken: dict[SkuKey, int] = {}
        self.logged: list[InboundRecord] = []

    async def take(self, *events: ChangeEvent, source: str | None = None) -> None:
        records = [record(encode_event(one, source), offset) for offset, one in enumerate(events)]
        self.logged += records
        await self.pipeline.process(records)

    def tail(self) -> None:
        MemoryTextWriter(self.replica).apply(list(self.documents.compacted().values()), Checkpoint("log"))
        self.reader.refresh()

    async def send(self, events: Sequence[ChangeEvent]) -> None:
        self.sent.extend(events)
        await self.take(*events)

    async def republish(self, keys: Sequence[SkuKey]) -> None:
        await self.pipeline.republish(keys)

    async def overtake(self, revisions: Mapping[SkuKey, int]) -> None:
        self.overtaken.update(revisions)

    def history(self) -> ChangeLogRows:
        async def pages() -> AsyncIterator[Sequence[InboundRecord]]:
            for start in range(0, len(self.logged), 2):
                yield self.logged[start : start + 2]

        return ChangeLogRows(pages, EventParser())

    def run(self, truth, **options) -> Reconciliation:
        return Reconciliation(
            truth,
            self.index,
            self.reader,
            options=ReconcileOptions(**options),
            clock=clock(),
            sleep=no_sleep,
        )


@pytest.fixture
def here() -> Installation:
    return Installation()


ROWS = [
    event("A", "item", 5, {"title": "Clavo"}),
    event("A", "price", 5, {"price": 3.0}),
    event("B", "item", 5, {"title": "Pija"}),
]


async def found(run: Reconciliation) -> dict[Kind, int]:
    return dict((await run.compare()).counts)


@pytest.mark.parametrize("read_at", [None, SourceVersion(0, 9)])
async def test_stores_that_hold_the_truth_agree_with_it(here, read_at):
    await here.take(*ROWS)
    here.tail()
    report = await here.run(Rows(*ROWS, read_at=read_at)).compare()
    assert report.agree
    assert (report.rows, report.products) == (3, 2)
    assert (await here.run(here.history()).compare()).agree


async def test_missing_extra_and_different_rows_are_found_and_mended_by_events(here):
    await here.take(ROWS[0], event("A", "price", 5, {"price": 4.0}), event("X", "item", 5, {"title": "Sobra"}))
    here.tail()
    run = here.run(Rows(*ROWS), delete_extra=True)
    assert await found(run) == {Kind.MISSING: 1, Kind.DIFFERENT: 1, Kind.EXTRA: 1}
    sample = run.report.samples[Kind.DIFFERENT][0]
    assert (sample["key"], sample["facet"], sample["stored"]["version"]) == ("acme/A", "price", "0:5")
    assert sample["truth"]["content"] != sample["stored"]["content"]
    report = await run.repair(here, here)
    assert (report.events_sent, report.unmended) == (3, 0)
    here.tail()
    assert await found(here.run(Rows(*ROWS))) == {}
    assert not (await here.index.read([SkuKey.of("acme", "X")]))[SkuKey.of("acme", "X")].alive


async def test_a_correction_never_wins_over_the_next_change_of_the_source(here):
    await here.take(event("A", "item", 5, {"title": "viejo"}))
    run = here.run(Rows(event("A", "item", 900, {"title": "Clavo"}), read_at=SourceVersion(0, 900)))
    await run.compare()
    await run.repair(here, here)
    assert [(one.version.sequence, dict(one.fields)) for one in here.sent] == [(6, {"title": "Clavo"})]
    await here.take(event("A", "item", 7, {"title": "el cambio que venía en camino"}))
    state = (await here.index.read([KEY]))[KEY].state
    assert b"en camino" in state


async def test_what_is_stored_above_the_position_of_the_truth_is_newer_not_different(here):
    await here.take(event("A", "item", 50, {"title": "nuevo"}), event("C", "item", 51, {"title": "recién creado"}))
    here.tail()
    truth = Rows(event("A", "item", 9, {"title": "Clavo"}), read_at=SourceVersion(0, 9))
    assert await found(here.run(truth)) == {}


async def test_of_two_rows_of_one_product_the_last_counts(here):
    await here.take(*ROWS)
    here.tail()
    earlier = event("A", "item", 0, {"title": "fila repetida"})
    assert await found(here.run(Rows(earlier, *ROWS))) == {}


async def test_products_of_shops_that_the_truth_does_not_speak_of_are_left_alone(here):
    other = ChangeEvent(SkuKey.of("otra", "Z"), ITEM_FACET, SourceVersion(0, 1), {"title": "Ajeno"})
    await here.take(*ROWS, other)
    here.tail()
    assert await found(here.run(Rows(*ROWS))) == {}


async def test_a_repair_that_would_delete_too_much_is_refused_and_publishes_nothing(here):
    await here.take(*ROWS, *(event(f"X{number}", "item", 1, {"title": "x"}) for number in range(5)))
    here.tail()
    run = here.run(Rows(*ROWS, event("M", "item", 1, {"title": "falta"})), delete_extra=True, max_deletes=4)
    assert await found(run) == {Kind.MISSING: 1, Kind.EXTRA: 5}
    with pytest.raises(ConfigurationError, match="would delete 5 rows"):
        await run.repair(here, here)
    assert here.sent == []


async def test_without_leave_to_delete_the_extra_rows_stay_and_are_said_so(here):
    await here.take(*ROWS, event("X", "item", 1, {"title": "x"}))
    here.tail()
    run = here.run(Rows(*ROWS))
    await run.compare()
    assert (await run.repair(here, here)).unmended == 1
    assert here.sent == []


async def test_a_change_that_arrives_before_the_second_look_does_not_count(here):
    await here.take(ROWS[0])
    here.tail()

    async def arrives(_seconds: float) -> None:
        await here.take(*ROWS[1:])
        here.tail()

    run = Reconciliation(Rows(*ROWS), here.index, here.reader, options=ReconcileOptions(), clock=clock(), sleep=arrives)
    assert await found(run) == {}


async def test_a_log_whose_changes_were_lost_by_the_store_sends_them_again(here):
    await here.take(*ROWS)
    here.tail()
    lost = [event("A", "item", 8, {"title": "perdido"}), event("D", "item", 1, {"title": "nunca llegó"})]
    here.logged += records_of(lost)
    here.logged.append(record(b"not an event"))
    run = here.run(here.history())
    report = await run.compare()
    assert (dict(report.counts), report.rejected) == ({Kind.DIFFERENT: 1, Kind.MISSING: 1}, 1)
    await run.repair(here, here)
    assert sorted(here.sent, key=str) == sorted(lost, key=str)
    here.tail()
    assert (await here.run(here.history()).compare()).agree


async def test_a_deleted_product_whose_tombstone_was_collected_is_not_missing(here):
    here.logged = records_of(
        [event("A", "item", 1, {"title": "x"}), event("A", "price", 2, {"price": 1.0}), event("A", "item", 3, None)]
    )
    assert await found(here.run(here.history())) == {}


async def test_a_replica_that_missed_documents_gets_them_again(here):
    await here.take(*ROWS)
    here.tail()
    await here.take(event("A", "price", 6, {"price": 9.0}), event("N", "item", 1, {"title": "nuevo"}))
    run = here.run(None)
    assert await found(run) == {Kind.REPLICA_OUTDATED: 1, Kind.REPLICA_MISSING: 1}
    assert (await run.repair(here, here)).republished == 2
    here.tail()
    assert await found(here.run(None)) == {}


async def test_a_store_that_was_set_back_is_told_which_revisions_to_overtake(here):
    await here.take(*ROWS)
    here.tail()
    newer = here.reader.fetch([KEY])[KEY].model_copy(update={"rev": 10**18})
    MemoryTextWriter(here.replica).apply([newer], Checkpoint("log"))
    here.reader.refresh()
    run = here.run(None)
    assert await found(run) == {Kind.REPLICA_AHEAD: 1}
    assert (await run.repair(here, here)).unmended == 0
    assert here.overtaken == {KEY: 10**18}


async def test_a_change_between_the_reads_of_the_second_look_is_no_difference(here):
    await here.take(*ROWS)
    here.tail()
    await here.take(event("A", "price", 6, {"price": 9.0}))
    plain_fetch, calls = here.reader.fetch, []

    def fetch_after_a_change(keys):
        calls.append(keys)
        if len(calls) == 2:
            asyncio.run(here.take(event("A", "price", 7, {"price": 8.0})))
            here.tail()
        return plain_fetch(keys)

    here.reader.fetch = fetch_after_a_change
    assert await found(here.run(None)) == {}


async def test_a_product_that_the_truth_sends_again_is_not_deleted_for_being_unknown(here):
    await here.take(*ROWS)
    here.tail()
    here.index = MemoryIndex()
    here.pipeline = make_pipeline(here.index, publisher=here.documents)
    run = here.run(here.history(), delete_extra=True, max_deletes=0)
    counts = await found(run)
    assert (counts[Kind.MISSING], counts[Kind.REPLICA_EXTRA]) == (3, 2)
    await run.repair(here, here)
    assert len(here.sent) == 3


async def test_a_product_that_only_the_replica_knows_is_deleted_through_the_log_on_request(here):
    await here.take(*ROWS)
    here.tail()
    here.index = MemoryIndex()
    here.pipeline = make_pipeline(here.index, publisher=here.documents)
    await here.take(ROWS[2])
    run = here.run(None, delete_extra=True)
    counts = await found(run)
    assert counts[Kind.REPLICA_EXTRA] == 1
    await run.repair(here, here)
    assert [(str(one.key), one.fields) for one in here.sent] == [("acme/A", None)]


async def test_a_product_whose_item_the_store_has_lost_is_told_and_its_price_alone_wants_no_document(here):
    await here.take(*ROWS)
    here.tail()
    here.index = MemoryIndex()
    here.pipeline = make_pipeline(here.index, publisher=here.documents)
    await here.take(event("A", "price", 6, {"price": 9.0}), event("NEW", "price", 6, {"price": 1.0}), ROWS[2])
    here.tail()
    assert await found(here.run(None)) == {Kind.REPLICA_EXTRA: 1}
    await here.take(ROWS[0])
    here.tail()
    assert await found(here.run(None)) == {}


VERSIONS = st.builds(SourceVersion, st.integers(0, 3), st.integers(0, 3) | st.just(MAX_SEQUENCE))


@given(held=VERSIONS, truth=VERSIONS, versioned=st.booleans())
def test_a_corrective_version_always_wins_and_is_the_smallest_that_does(held, truth, versioned):
    state = FacetState.of(ChangeEvent(KEY, ITEM_FACET, held, {"title": "x"}))
    version = winning_version(state, truth, versioned=versioned)
    assert version > held
    assert version.epoch >= truth.epoch
    assert version in (next_version(held), SourceVersion(truth.epoch, 0))


@given(held=VERSIONS, truth=VERSIONS)
def test_a_repaired_row_agrees_with_the_truth(held, truth):
    stored = ChangeEvent(KEY, ITEM_FACET, held, {"title": "viejo", "brand": "x"})
    row = ChangeEvent(KEY, ITEM_FACET, truth, {"title": "nuevo"})
    difference = compare_row(FacetState.of(stored), row, versioned=False, now_us=1)
    repaired = merge_all([stored, *difference.events]).facets[ITEM_FACET]
    assert compare_row(repaired, row, versioned=False, now_us=1) is None


def test_versions_end_where_epochs_do():
    assert next_version(SourceVersion(1, 7)) == SourceVersion(1, 8)
    assert next_version(SourceVersion(1, MAX_SEQUENCE)) == SourceVersion(2, 0)
    assert next_version(SourceVersion(MAX_EPOCH, MAX_SEQUENCE)) == SourceVersion(FIRST_OPERATOR_EPOCH, 0)
    assert next_version(SourceVersion(MAX_OPERATOR_EPOCH, MAX_SEQUENCE)) is None


async def test_over_the_largest_version_the_next_epoch_is_begun_and_said(here):
    await here.take(ChangeEvent(KEY, ITEM_FACET, SourceVersion(0, MAX_SEQUENCE), {"title": "Viejo"}))
    here.tail()
    run = here.run(Rows(event("A", "item", 6, {"title": "Nuevo"})))
    counts = await found(run)
    assert counts == {Kind.DIFFERENT: 1}
    [sample] = run.report.samples[Kind.DIFFERENT]
    assert "mending begins epoch 1" in sample["remedy"]
    report = await run.repair(here, here)
    assert [one.version for one in here.sent] == [SourceVersion(1, 0)]
    assert (report.epochs_begun, report.unbeatable, report.unmended) == (1, 0, 0)


async def test_over_the_largest_version_of_the_largest_epoch_nothing_wins_and_others_are_mended(here):
    largest = SourceVersion(MAX_OPERATOR_EPOCH, MAX_SEQUENCE)
    await here.take(
        ChangeEvent(KEY, ITEM_FACET, largest, {"title": "Para siempre"}),
        event("B", "item", 1, {"title": "Viejo"}),
        source=OPERATOR_SOURCE,
    )
    here.tail()
    run = here.run(
        Rows(
            ChangeEvent(KEY, ITEM_FACET, SourceVersion(0, 9), {"title": "Nuevo"}),
            event("B", "item", 9, {"title": "Nuevo"}),
        )
    )
    assert await found(run) == {Kind.DIFFERENT: 2}
    assert any("no event wins over it" in one.get("remedy", "") for one in run.report.samples[Kind.DIFFERENT])
    report = await run.repair(here, here)
    assert [str(one.key) for one in here.sent] == ["acme/B"]
    assert (report.unbeatable, report.unmended, report.summary()["unbeatable"]) == (1, 1, 1)


def test_even_the_largest_version_is_beaten_by_a_correction():
    largest = ChangeEvent(KEY, ITEM_FACET, SourceVersion(MAX_EPOCH, MAX_SEQUENCE), {"title": "Ahead"})
    mended = replace(largest, version=next_version(largest.version), fields={"title": "True"})
    sent = EventParser(admission=AdmissionRules()).parse(None, encode_event(mended, OPERATOR_SOURCE), taken_ms=1)
    assert sent == Changes((mended,))
    assert merge_all([largest, mended]).facets[ITEM_FACET].values() == {"title": "True"}


async def test_a_stored_state_that_cannot_be_read_is_counted_and_keeps_no_other_from_being_compared(here):
    await here.take(*ROWS)
    here.tail()
    held = (await here.index.read([KEY]))[KEY]
    await here.index.write([PointWrite(KEY, held.rev, PointPayload(held.rev, alive=True, state=b"{torn"))])
    rows = [*ROWS[:2], event("B", "item", 6, {"title": "Pija larga"})]
    run = here.run(Rows(*rows))
    counts = await found(run)
    assert run.report.unreadable == 1
    assert counts[Kind.DIFFERENT] == 1, "of the product that can be read"
