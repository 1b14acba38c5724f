"""What every text index does with a document that it cannot analyse: it stops no other, and is never silently absent."""

import pytest

from retrieval.analysis.pipeline import analyse
from retrieval.filters import CatalogueFilter
from retrieval.text import content
from retrieval.text.apart.ledger import MOST_ENTRIES, NAMELESS_KEPT_US, Ledger
from retrieval.text.apart.values import NO_NOTES, Apart, Flaw, LogNotes, Place
from runtime.isolation import DefectError
from schemas.errors import StoreUnavailableError
from tests.contracts.text_index_suite import FIRST, SECOND, TENANT, TextIndexContract, document, key, tombstone

POISON = "PÓLVORA"
HERE = CatalogueFilter(TENANT)


def place(offset: int, partition: int = 0) -> Place:
    return Place(partition, offset, timestamp_ms=7, size=3, digest="ab")


def noted(*documents, first_offset: int = 0, **fields) -> LogNotes:
    places = {one.key: place(first_offset + number) for number, one in enumerate(documents)}
    return LogNotes(now_us=5, places=places, **fields)


def malformed(offset: int, name: str = "acme/1", **fields) -> Apart:
    return Apart(Flaw.MALFORMED_DOCUMENT, place(offset), name, "invalid_event", "no JSON", **fields)


class TextApartContract(TextIndexContract):
    """The contract of every text index, and of what it sets apart."""

    @pytest.fixture(autouse=True)
    def defect(self, monkeypatch):
        """An analyser that fails on one word. `mend` gives the analyser with the fix."""

        def failing(text):
            if POISON in text:
                raise ValueError(f"cannot read {POISON}")
            return analyse(text)

        monkeypatch.setattr(content, "analyse", failing)
        return lambda: monkeypatch.setattr(content, "analyse", analyse)

    def apply(self, writer, reader, *documents, checkpoint=FIRST, removed=(), notes=None, first_offset=0):
        notes = notes or noted(*documents, first_offset=first_offset)
        applied = writer.apply(documents, checkpoint, removed=removed, notes=notes)
        reader.refresh()
        return applied

    def test_a_description_that_fails_leaves_title_code_price_and_the_other_products(self, writer, reader):
        bad = document("1", "Martillo", description=f"con {POISON}", price=9.5)
        applied = self.apply(writer, reader, document("0", "Tenaza"), bad, document("2", "Sierra"))
        assert (applied.written, applied.outdated) == (3, 0)
        assert self.found(reader, "martillo") == ["1"]
        assert self.found(reader, "sierra") == ["2"]
        assert reader.lookup_code("1", catalogue_filter=HERE, limit=1) == [key("1")]
        assert reader.fetch([key("1")])[key("1")] == bad
        (apart,) = applied.apart
        assert (apart.flaw, apart.place, apart.key, apart.rev) == (Flaw.PARTLY_INDEXED, place(1), "acme/1", 1)
        assert apart.lacks == ("description",)
        assert apart.code == "unexpected"
        assert POISON in apart.detail
        assert writer.set_apart().counts == {"partly_indexed": 1}
        assert writer.set_apart().ledger.entries == (apart,)

    def test_a_title_that_fails_leaves_the_product_to_be_found_by_what_else_it_has(self, writer, reader):
        bad = document("1", POISON, description="martillo de bola", brand="Acme")
        (apart,) = self.apply(writer, reader, bad).apart
        assert apart.lacks == ("title",)
        assert self.found(reader, "bola") == ["1"]
        assert reader.lookup_code("1", catalogue_filter=HERE, limit=1) == [key("1")]

    def test_where_all_fails_the_present_state_is_shown_and_no_older_one(self, writer, reader, monkeypatch):
        self.apply(writer, reader, document("1", "Martillo", price=5.0))

        def failing(text):
            raise ValueError

        monkeypatch.setattr(content, "analyse", failing)
        monkeypatch.setattr(content, "fold_code", failing)
        monkeypatch.setattr(content, "surface_words", failing)
        (apart,) = self.apply(writer, reader, document("1", "Tenaza sin palabras", 2, price=7.0), first_offset=1).apart
        assert apart.flaw is Flaw.NOT_INDEXED
        assert writer.set_apart().counts == {"not_indexed": 1}
        monkeypatch.undo()
        assert self.found(reader, "martillo") == []
        assert self.found(reader, "tenaza") == []
        assert reader.fetch([key("1")])[key("1")].price == 7.0
        assert reader.matching([key("1")], CatalogueFilter.of(TENANT, price_min=6.0)) == {key("1")}

    def test_a_dependency_that_fails_is_no_documents_fault(self, writer, reader, monkeypatch):
        def away(text):
            raise StoreUnavailableError

        self.apply(writer, reader, document("1"))
        monkeypatch.setattr(content, "analyse", away)
        with pytest.raises(StoreUnavailableError):
            self.apply(writer, reader, document("2", "Una que no se analizó antes"), checkpoint=SECOND)
        reader.refresh()
        assert (reader.checkpoint(), reader.counts().alive) == (FIRST, 1)

    def test_too_many_are_a_defect_of_ours_and_nothing_of_the_batch_is_committed(self, writer, reader):
        self.apply(writer, reader, document("0"))
        bad = [document(f"B{number}", f"{POISON} {number}") for number in range(11)]
        good = [document(f"G{number}", f"Tenaza {number}") for number in range(9)]
        with pytest.raises(DefectError, match="11 of 20"):
            self.apply(writer, reader, *good, *bad, checkpoint=SECOND)
        reader.refresh()
        assert (writer.checkpoint(), reader.checkpoint(), reader.counts().alive) == (FIRST, FIRST, 1)
        assert writer.set_apart().counts == {}
        assert self.apply(writer, reader, *good, checkpoint=SECOND).written == 9

    def test_a_newer_document_that_is_well_closes_the_entry_once_it_is_told(self, writer, reader):
        self.apply(writer, reader, document("1", description=POISON))
        self.apply(writer, reader, document("1", "Tenaza", 2), first_offset=1)
        assert writer.set_apart().counts == {}
        (entry,) = writer.set_apart().ledger.untold
        assert entry.settled
        self.apply(writer, reader, notes=LogNotes(told={entry.place}))
        assert writer.set_apart().ledger.entries == ()

    def test_an_older_document_closes_nothing(self, writer, reader):
        self.apply(writer, reader, document("1", description=POISON, rev=5))
        self.apply(writer, reader, document("1", rev=4), first_offset=1)
        assert writer.set_apart().counts == {"partly_indexed": 1}

    @pytest.mark.parametrize("gone", ["deleted", "forgotten"])
    def test_a_product_that_goes_closes_its_entry(self, writer, reader, gone):
        self.apply(writer, reader, document("1", description=POISON))
        if gone == "deleted":
            self.apply(writer, reader, tombstone("1", 2), first_offset=1)
        else:
            self.apply(writer, reader, removed=[key("1")])
        assert writer.set_apart().counts == {}

    def test_what_was_told_stays_open_and_is_told_once(self, writer, reader):
        self.apply(writer, reader, document("1", description=POISON))
        self.apply(writer, reader, notes=LogNotes(told={place(0)}))
        assert writer.set_apart().ledger.untold == ()
        assert writer.set_apart().counts == {"partly_indexed": 1}
        # The log is read again from before it: the same record, the same failure, no news.
        self.apply(writer, reader, document("1", description=POISON))
        assert writer.set_apart().ledger.untold == ()
        assert len(writer.set_apart().ledger.entries) == 1

    def test_after_a_fix_what_is_stored_is_made_whole(self, writer, reader, defect):
        bad = document("1", "Martillo", description=f"{POISON} de bola")
        self.apply(writer, reader, bad, document("2"))
        assert writer.to_try_again(10) == [bad]
        again = LogNotes(again=True)
        assert self.apply(writer, reader, *writer.to_try_again(10), notes=again).apart == ()
        assert writer.set_apart().counts == {"partly_indexed": 1}
        assert len(writer.set_apart().ledger.entries) == 1
        defect()
        self.apply(writer, reader, *writer.to_try_again(10), notes=again)
        assert writer.set_apart().counts == {}
        assert writer.to_try_again(10) == []
        assert self.found(reader, "bola") == ["1"]

    def test_trying_again_is_no_defect_however_many_fail(self, writer, reader):
        for batch in range(6):
            bad = [document(f"B{batch}{number}", description=POISON) for number in range(10)]
            good = [document(f"G{batch}{number}") for number in range(10)]
            self.apply(writer, reader, *(one for pair in zip(bad, good, strict=True) for one in pair))
        held = writer.to_try_again(100)
        assert len(held) == 60
        self.apply(writer, reader, *held, notes=LogNotes(again=True))
        assert writer.set_apart().counts == {"partly_indexed": 60}

    def test_a_document_that_was_read_without_fields_is_not_mended_from_what_is_stored(self, writer, reader):
        lacking = Apart(Flaw.PARTLY_INDEXED, place(0), "acme/1", "invalid_event", "prices: no", lacks=("prices",))
        notes = noted(document("1"), incomplete={key("1"): lacking})
        assert self.apply(writer, reader, document("1"), notes=notes).apart == (lacking,)
        assert self.found(reader, "martillo") == ["1"]
        assert writer.set_apart().counts == {"partly_indexed": 1}
        assert writer.to_try_again(10) == []

    def test_a_record_that_is_no_document_is_kept_until_its_product_comes_well(self, writer, reader):
        self.apply(writer, reader, document("1"), notes=LogNotes(malformed=[malformed(4)]))
        assert writer.set_apart().counts == {"malformed_document": 1}
        self.apply(writer, reader, document("1", rev=2), first_offset=5)
        assert writer.set_apart().counts == {}

    def test_a_good_document_behind_it_in_the_same_batch_closes_it_and_it_is_told_all_the_same(self, writer, reader):
        one = document("1")
        self.apply(writer, reader, one, notes=noted(one, first_offset=5, malformed=[malformed(4), malformed(6)]))
        assert writer.set_apart().counts == {"malformed_document": 1}
        assert [(entry.place.offset, entry.settled) for entry in writer.set_apart().ledger.untold] == [
            (4, True),
            (6, False),
        ]

    def test_a_record_that_names_no_product_is_let_go_a_day_after_it_was_told(self, writer, reader):
        self.apply(writer, reader, notes=LogNotes(malformed=[malformed(4, name="?")], now_us=1))
        self.apply(writer, reader, notes=LogNotes(told={place(4)}, now_us=NAMELESS_KEPT_US))
        assert writer.set_apart().counts == {"malformed_document": 1}
        self.apply(writer, reader, notes=LogNotes(now_us=NAMELESS_KEPT_US + 2))
        assert writer.set_apart().counts == {}

    def test_the_ledger_is_bounded_and_the_counts_stay_exact(self, writer, reader):
        self.apply(writer, reader, document("B", description=POISON), first_offset=10_000)
        many = [malformed(number, name=f"acme/M{number}") for number in range(MOST_ENTRIES + 5)]
        self.apply(writer, reader, notes=LogNotes(malformed=many))
        assert len(writer.set_apart().ledger.entries) == MOST_ENTRIES
        assert writer.set_apart().counts == {"partly_indexed": 1, "malformed_document": MOST_ENTRIES + 5}
        assert len(writer.to_try_again(5)) == 1

    def test_without_trouble_there_is_nothing(self, writer, reader):
        self.apply(writer, reader, document("1"), notes=NO_NOTES)
        assert writer.set_apart().ledger == Ledger()
        assert writer.set_apart().counts == {}
