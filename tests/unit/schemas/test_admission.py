"""Which changes come in, and in which epoch: a clock that is ahead, sources that are declared, handovers and resets."""

import json
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import (
    InvalidEventError,
    InvalidMappingError,
    InvalidRequestError,
    UndeclaredSourceError,
    VersionAheadError,
)
from schemas.events.admission import AdmissionRules, Changes
from schemas.events.canonical import encode_event
from schemas.events.parser import EventParser
from schemas.identity import PROBE_TENANT, SkuKey, TenantId
from schemas.mapping.compiled import compile_mapping
from schemas.mapping.loading import parse_mapping
from schemas.product.changes import ChangeEvent, FacetKey
from schemas.product.merge import merge_all
from schemas.product.sources import (
    ANY_SOURCE,
    FIRST_OPERATOR_EPOCH,
    MAX_OPERATOR_EPOCH,
    OPERATOR_SOURCE,
    SourceEntry,
    SourceHistory,
    epoch_taken,
    handed_over,
    next_epoch,
    reset_entry,
)
from schemas.version import MAX_EPOCH, MAX_SEQUENCE, SourceVersion

NOW_MS = 1_764_532_307_000
NOW_US = NOW_MS * 1_000
SHOP, PRICE, STOCK = TenantId("shop"), FacetKey("price"), FacetKey("stock")
HOUR_MS = 3_600_000


def parser(*entries: SourceEntry, mapping: str = "", max_ahead_s: float = 600.0) -> EventParser:
    history = SourceHistory(entries)
    return EventParser(
        compile_mapping(parse_mapping(mapping)) if mapping else None,
        admission=AdmissionRules(max_ahead_s, lambda: history),
    )


def admitted(reader: EventParser, version: object, *, taken_ms: int = NOW_MS, facet: str = "price", **members: object):
    fields = {"price": 1} if facet.startswith("price") else {"stock": 1}
    raw = {"tenant": "shop", "sku": "A", "facet": facet, "version": version, "fields": fields, **members}
    parsed = reader.parse(None, json.dumps(raw).encode(), taken_ms=taken_ms)
    assert isinstance(parsed, Changes)
    return parsed.events[0].version


def debezium(**source: object) -> bytes:
    block = {"connector": "sqlserver", "name": "erp", "db": "w", "schema": "dbo", "table": "prices", **source}
    return json.dumps({"op": "c", "source": block, "after": {"sku": "A", "tenant": "shop", "price": 2}}).encode()


class TestClocks:
    @pytest.mark.parametrize("ahead_s", [601, 86_400, 365 * 86_400, 99 * 365 * 86_400])
    def test_a_clock_that_is_ahead_is_refused_with_the_remedy(self, ahead_s: int) -> None:
        with pytest.raises(VersionAheadError, match=r"more than the 600 s of max_ahead_s.*clock of the source right"):
            admitted(parser(), NOW_US + ahead_s * 1_000_000)

    @pytest.mark.parametrize("version", [1, NOW_US - 1, NOW_US, NOW_US + 600_000_000, 10**18, MAX_SEQUENCE])
    def test_clocks_that_are_right_and_counts_come_in(self, version: int) -> None:
        assert admitted(parser(), version) == SourceVersion(0, version)

    def test_the_verdict_depends_on_the_records_time_alone(self) -> None:
        assert admitted(parser(), NOW_US, taken_ms=NOW_MS + HOUR_MS)
        with pytest.raises(VersionAheadError):
            admitted(parser(), NOW_US, taken_ms=NOW_MS - HOUR_MS)

    def test_a_file_that_no_log_took_is_not_judged(self) -> None:
        raw = {"sku": "A", "version": NOW_US * 2, "fields": {}}
        assert isinstance(parser().parse(None, json.dumps(raw).encode()), Changes)

    def test_the_bound_is_a_setting(self) -> None:
        assert admitted(parser(max_ahead_s=7_200), NOW_US + 3_600_000_000)
        with pytest.raises(VersionAheadError):
            admitted(parser(max_ahead_s=0), NOW_US + 1)

    def test_a_source_that_counts_by_declaration_is_no_clock(self) -> None:
        mapping = "sources: [{name: pim, version: position}]\ntables: [{sku: sku}]"
        ahead = NOW_US + 10**13
        assert admitted(parser(mapping=mapping), ahead, source="pim") == SourceVersion(0, ahead)
        with pytest.raises(VersionAheadError):
            admitted(parser(mapping=mapping), ahead, source="other")

    def test_debezium_is_judged_where_its_version_is_the_commit_clock(self) -> None:
        ahead_ms = NOW_MS + HOUR_MS
        with pytest.raises(VersionAheadError):
            parser(mapping=BY_CLOCK).parse(None, debezium(ts_ms=ahead_ms), taken_ms=NOW_MS)
        assert parser(mapping=BY_CLOCK).parse(None, debezium(ts_ms=NOW_MS), taken_ms=NOW_MS)
        # A position may be any number, and the commit time beside it decides nothing.
        position = {"connector": "mysql", "file": "bin.000110", "pos": 4, "row": 0, "ts_ms": ahead_ms}
        assert parser().parse(None, debezium(**position), taken_ms=NOW_MS)


BY_CLOCK = (
    "sources: [{version: clock}]\ntables: [{facet: price, sku: sku, tenant: {column: tenant}, fields: {price: price}}]"
)


def entry(source: str, epoch: int, since_ms: int = 0, facet: FacetKey = PRICE) -> SourceEntry:
    return SourceEntry(SHOP, facet, source, epoch, since_ms)


class TestPositionsThatAreClocks:
    @pytest.mark.parametrize(
        ("source", "refused"),
        [
            ({"connector": "mongodb", "ord": 1}, True),
            ({"connector": "informix"}, True),
            ({"connector": "sqlserver", "commit_lsn": "00000027:00000758:0040"}, False),
            ({"connector": "oracle", "scn": "1240"}, False),
        ],
    )
    def test_a_position_made_of_a_clock_is_bounded_as_the_clock_is(
        self, source: dict[str, object], refused: bool
    ) -> None:
        event = json.loads(debezium(ts_ms=NOW_MS + 365 * 24 * HOUR_MS, **source))
        event["transaction"] = {"id": "1", "total_order": 1, "data_collection_order": 1}
        reader = parser(mapping="tables: [{facet: price, sku: sku, tenant: {column: tenant}, fields: {price: price}}]")
        if refused:
            with pytest.raises(VersionAheadError):
                reader.parse(None, json.dumps(event).encode(), taken_ms=NOW_MS)
        else:
            assert isinstance(reader.parse(None, json.dumps(event).encode(), taken_ms=NOW_MS), Changes)


class TestSources:
    def test_an_undeclared_facet_takes_every_source_as_it_comes(self) -> None:
        assert admitted(parser(), {"epoch": 3, "sequence": 1}, source="anyone") == SourceVersion(3, 1)
        elsewhere = parser(entry("erp", 1, facet=STOCK))
        assert admitted(elsewhere, {"epoch": 3, "sequence": 1}) == SourceVersion(3, 1)

    def test_a_declared_facet_takes_its_sources_in_their_epochs_and_refuses_others(self) -> None:
        reader = parser(entry("erp", 7))
        assert admitted(reader, {"epoch": 3, "sequence": 1}, source="erp") == SourceVersion(7, 1)
        with pytest.raises(UndeclaredSourceError, match=r"'producer' never was declared.*facet handover --tenant shop"):
            admitted(reader, 1)

    def test_the_mapping_is_the_first_entry_for_debezium_and_for_canonical_events(self) -> None:
        mapping = BY_CLOCK.replace(
            "{version: clock}", "{name: warehouse, match: {server: erp}, epoch: 2, version: clock}"
        )
        mapping += "\nfacets: [{facet: price, fed_by: warehouse}, {tenant: other, facet: price, fed_by: [producer]}]"
        parsed = parser(mapping=mapping).parse(None, debezium(ts_ms=NOW_MS), taken_ms=NOW_MS)
        assert isinstance(parsed, Changes)
        assert (parsed.source, parsed.events[0].version.epoch) == ("warehouse", 2)
        with pytest.raises(UndeclaredSourceError):
            admitted(parser(mapping=mapping), 1)
        assert admitted(parser(mapping=mapping), 1, tenant="other") == SourceVersion(0, 1)
        assert admitted(parser(mapping=mapping), 1, tenant=PROBE_TENANT) == SourceVersion(0, 1), "our own products"

    def test_a_connector_without_a_name_in_the_mapping_goes_by_its_topic_prefix(self) -> None:
        reader = parser(entry("erp", 4), mapping=BY_CLOCK)
        parsed = reader.parse(None, debezium(ts_ms=NOW_MS), taken_ms=NOW_MS)
        assert isinstance(parsed, Changes)
        assert parsed.events[0].version.epoch == 4

    def test_an_instances_own_entries_go_before_those_of_the_facet(self) -> None:
        reader = parser(entry("erp", 1, facet=STOCK), entry("branch", 2, facet=FacetKey("stock:norte")))
        assert admitted(reader, 1, facet="stock:sur", source="erp").epoch == 1
        assert admitted(reader, 1, facet="stock:norte", source="branch").epoch == 2
        with pytest.raises(UndeclaredSourceError):
            admitted(reader, 1, facet="stock:norte", source="erp")

    def test_after_a_handover_the_new_source_wins_and_the_former_keeps_what_it_wrote(self) -> None:
        reader = parser(entry("lsn", 0), entry("clock", FIRST_OPERATOR_EPOCH, NOW_MS))
        assert admitted(reader, 9, source="lsn", taken_ms=NOW_MS - 1) == SourceVersion(0, 9)
        assert admitted(reader, 10, source="lsn", taken_ms=NOW_MS + 1) == SourceVersion(0, 10)
        assert admitted(reader, 1, source="clock") == SourceVersion(FIRST_OPERATOR_EPOCH, 1)

    def test_what_was_refused_before_its_source_was_declared_comes_in_after_the_handover(self) -> None:
        before, after = parser(entry("lsn", 0)), parser(entry("lsn", 0), entry("new", FIRST_OPERATOR_EPOCH, NOW_MS))
        with pytest.raises(UndeclaredSourceError):
            admitted(before, 1, source="new", taken_ms=NOW_MS - 1)
        assert admitted(after, 1, source="new", taken_ms=NOW_MS - 1).epoch == FIRST_OPERATOR_EPOCH

    def test_a_reset_raises_what_comes_after_it_and_leaves_what_was_before(self) -> None:
        reader = parser(entry("erp", 0), entry("erp", FIRST_OPERATOR_EPOCH, NOW_MS))
        frozen = admitted(reader, MAX_SEQUENCE, source="erp", taken_ms=NOW_MS - 1)
        freed = admitted(reader, 5, source="erp", taken_ms=NOW_MS)
        assert frozen.epoch == 0
        assert freed > frozen

    def test_resetting_an_undeclared_facet_shuts_nobody_out_and_beats_every_version_that_can_be_written(self) -> None:
        reset = reset_entry((), SHOP, PRICE, since_ms=NOW_MS)
        assert reset.source == ANY_SOURCE
        reader = parser(reset)
        largest = admitted(reader, {"epoch": MAX_EPOCH, "sequence": MAX_SEQUENCE}, taken_ms=NOW_MS - 1)
        assert admitted(reader, 1, source="anyone") > largest == SourceVersion(MAX_EPOCH, MAX_SEQUENCE)

    def test_a_reset_of_one_instance_leaves_its_past_as_it_was_read(self) -> None:
        handed = entry("wms", FIRST_OPERATOR_EPOCH, NOW_MS - 2_000, facet=STOCK)
        before = parser(entry("erp", 0, facet=STOCK), handed)
        reset = entry("wms", FIRST_OPERATOR_EPOCH + 1, NOW_MS, facet=FacetKey("stock:norte"))
        after = parser(entry("erp", 0, facet=STOCK), handed, reset)
        for taken_ms, source in ((NOW_MS - 1_000, "wms"), (NOW_MS - 3_000, "erp")):
            then = admitted(before, 5, source=source, facet="stock:norte", taken_ms=taken_ms)
            assert admitted(after, 5, source=source, facet="stock:norte", taken_ms=taken_ms) == then
        with pytest.raises(UndeclaredSourceError):
            admitted(after, 5, facet="stock:norte", taken_ms=NOW_MS - 3_000)
        assert admitted(after, 5, source="wms", facet="stock:norte").epoch == FIRST_OPERATOR_EPOCH + 1
        assert admitted(after, 5, source="wms", facet="stock:sur").epoch == FIRST_OPERATOR_EPOCH

    def test_a_reset_lifts_all_who_feed_a_facet_and_nobody_who_did_before(self) -> None:
        declared = (entry("old", 0), entry("erp", 1), entry("wms", 1))
        reset = reset_entry(declared, SHOP, PRICE, since_ms=NOW_MS)
        assert (reset.source, reset.epoch) == (ANY_SOURCE, FIRST_OPERATOR_EPOCH)
        mapping = BY_CLOCK + "\nfacets: [{facet: price, fed_by: [erp, wms]}]"
        reader = parser(reset, mapping=mapping)
        assert {admitted(reader, 1, source=name).epoch for name in ("erp", "wms")} == {FIRST_OPERATOR_EPOCH}
        with pytest.raises(UndeclaredSourceError):
            admitted(reader, 1, source="stranger")
        history = (*declared, reset)
        assert epoch_taken(history, "old", 0, NOW_MS) == 0

    def test_a_facet_that_is_declared_after_a_reset_of_everybody_is_not_frozen(self) -> None:
        reset = reset_entry((), SHOP, PRICE, since_ms=NOW_MS)
        undeclared = admitted(parser(reset), 5, source="erp")
        mapping = BY_CLOCK + "\nfacets: [{facet: price, fed_by: erp}]"
        assert admitted(parser(reset, mapping=mapping), 5, source="erp") == undeclared

    def test_corrections_keep_the_version_that_was_chosen_for_them(self) -> None:
        reader = parser(entry("erp", FIRST_OPERATOR_EPOCH))
        version = {"epoch": FIRST_OPERATOR_EPOCH + 1, "sequence": NOW_US + 10**13}
        assert admitted(reader, version, source=OPERATOR_SOURCE) == SourceVersion(
            FIRST_OPERATOR_EPOCH + 1, NOW_US + 10**13
        )
        with pytest.raises(InvalidEventError):
            admitted(parser(), version)

    def test_a_change_of_the_history_is_seen_at_once(self) -> None:
        known = [SourceHistory()]
        reader = EventParser(admission=AdmissionRules(history=lambda: known[0]))
        assert admitted(reader, 1).epoch == 0
        known[0] = SourceHistory([entry("producer", 3)])
        assert admitted(reader, 1).epoch == 3


class TestEntries:
    def test_they_are_read_as_they_were_written(self) -> None:
        one = SourceEntry(SHOP, FacetKey("stock:a/b"), "erp", MAX_OPERATOR_EPOCH, NOW_MS, "moved to the new ERP")
        assert SourceEntry.from_bytes(one.to_bytes()) == one

    @pytest.mark.parametrize(
        "raw", [b"", b"[]", b"{}", b'{"tenant":"a","facet":"x y","source":"e","epoch":1,"since_ms":0}']
    )
    def test_anything_else_is_refused(self, raw: bytes) -> None:
        with pytest.raises(InvalidEventError):
            SourceEntry.from_bytes(raw)

    def test_each_next_epoch_is_above_the_others_and_above_what_events_bring(self) -> None:
        first = handed_over((), SHOP, PRICE, "a", since_ms=1)
        second = handed_over((first,), SHOP, PRICE, "b", since_ms=2)
        third = reset_entry((first, second), SHOP, PRICE, since_ms=3)
        assert [first.epoch, second.epoch, third.epoch] == [FIRST_OPERATOR_EPOCH + n for n in range(3)]
        assert third.source == "b"
        with pytest.raises(InvalidRequestError, match="facet reset"):
            handed_over((first, second), SHOP, PRICE, "b", since_ms=4)
        with pytest.raises(InvalidRequestError, match="used up"):
            next_epoch((entry("a", MAX_OPERATOR_EPOCH),))

    @pytest.mark.parametrize(
        "facets",
        [
            "[{facet: 'Price', fed_by: a}]",
            "[{facet: price, fed_by: []}]",
            "[{facet: price, fed_by: '*'}]",
            "[{tenant: 'a b', facet: price, fed_by: a}]",
            "[{facet: price, fed_by: a}, {facet: price, fed_by: b}]",
        ],
    )
    def test_a_mapping_that_makes_no_sense_is_refused(self, facets: str) -> None:
        with pytest.raises(InvalidMappingError, match="facets"):
            compile_mapping(parse_mapping(f"facets: {facets}"))


_SOURCES = ("lsn", "clock", "file")
_ENTRIES = st.lists(st.tuples(st.sampled_from((*_SOURCES, ANY_SOURCE)), st.integers(0, 50)), max_size=5).map(
    lambda drawn: tuple(
        entry(source, number, since) for number, (source, since) in enumerate(sorted(drawn, key=lambda d: d[1]))
    )
)
_RECORDS = st.lists(st.tuples(st.sampled_from(_SOURCES), st.integers(0, 5), st.integers(0, 60)), max_size=12)


@given(_ENTRIES, _RECORDS, st.randoms(use_true_random=False))
def test_a_replay_in_any_order_under_the_final_history_ends_where_the_first_reading_did(entries, records, rng) -> None:
    """The first reading knows only the entries that held by then; those it refuses are no part of it."""

    def read(source: str, sequence: int, taken: int, known: tuple[SourceEntry, ...]) -> ChangeEvent:
        epoch = epoch_taken(known, source, 0, taken)
        return ChangeEvent(SkuKey.of("shop", "A"), PRICE, SourceVersion(epoch, sequence), {"price": float(sequence)})

    first, again = [], []
    for source, sequence, taken in records:
        try:
            first.append(read(source, sequence, taken, tuple(e for e in entries if e.since_ms <= taken)))
        except UndeclaredSourceError:
            continue
        again.append(read(source, sequence, taken, entries))
    rng.shuffle(again)
    assert merge_all(again) == merge_all(first)


def test_entries_do_not_change_what_an_event_is() -> None:
    event = ChangeEvent(SkuKey.of("shop", "A"), PRICE, SourceVersion(0, 1), {"price": 1.0})
    parsed = parser(entry("erp", 9)).parse(None, encode_event(event, "erp"), taken_ms=NOW_MS)
    assert isinstance(parsed, Changes)
    assert parsed.events[0].stamp.digest == event.stamp.digest
    assert reduce(lambda left, right: left and right, [parsed.source == "erp", parsed.events[0].fields == event.fields])
