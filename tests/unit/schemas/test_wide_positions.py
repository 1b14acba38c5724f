"""The order of changes that share their commit's time: by the place in their source's log, beside what was stored before there were places."""

from itertools import pairwise, permutations
from typing import Any

import orjson
import pytest

from indexer.reconcile.compare import next_version
from schemas.errors import InvalidEventError
from schemas.events.canonical import encode_event
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey
from schemas.product.merge import ItemState, MergeOutcome, merge_all
from schemas.version import SourceVersion

AT = 1_760_000_000_000
PARSER = EventParser()


def lsn(number: int) -> str:
    return f"{number >> 48:08x}:{number >> 16 & 0xFFFFFFFF:08x}:{number & 0xFFFF:04x}"


def sqlserver(commit: int, change: int | None, serial: int | None = 1, **more: Any) -> dict[str, Any]:
    return {
        "connector": "sqlserver", "ts_ms": AT, "commit_lsn": lsn(commit),
        "change_lsn": None if change is None else lsn(change), "event_serial_no": serial, **more,
    }  # fmt: skip


def db2(commit: int, change: int | None, **more: Any) -> dict[str, Any]:
    changed = None if change is None else f"00000000:00000000:{change:016x}"
    return {
        "connector": "db2",
        "ts_ms": AT,
        "commit_lsn": f"00000000:00000000:{commit:016x}",
        "change_lsn": changed,
        **more,
    }


def oracle(commit: int | None, scn: int, ssn: int = 0, record_set: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "connector": "oracle", "ts_ms": AT, "scn": str(scn), "commit_scn": None if commit is None else str(commit),
        "ssn": ssn, "rs_id": f" 0x000abc.0001.{record_set:04x} ", **more,
    }  # fmt: skip


def mongodb(ts_ms: int, number: int, **more: Any) -> dict[str, Any]:
    return {"connector": "mongodb", "ts_ms": ts_ms, "ord": number, **more}


def mysql(file: int, pos: int, row: int = 0) -> dict[str, Any]:
    return {"connector": "mysql", "ts_ms": AT, "file": f"bin.{file:06d}", "pos": pos, "row": row}


def event(source: dict[str, Any], title: str | None = "x", *, op: str = "u", order: int | None = None) -> ChangeEvent:
    row = {"sku": "A", "nombre": title}
    transaction = None if order is None else {"id": "1", "total_order": order, "data_collection_order": 1}
    value = {
        "op": "d" if title is None else op,
        "before": row if title is None else None, "after": None if title is None else row,
        "source": {"table": "t", "snapshot": "true" if op == "r" else "false", **source},
        "ts_ms": AT + 500, "transaction": transaction,
    }  # fmt: skip
    [one] = PARSER.parse(None, orjson.dumps(value)).events  # type: ignore[union-attr]
    return one


READ = {"op": "r"}
HISTORIES = {
    "sqlserver": [
        (sqlserver(0x27, None, None), READ),
        (sqlserver(0x28, 3, 2), {}),
        (sqlserver(0x28, 4, 1), {}),
        (sqlserver(0x28, 4, 2), {}),
        (sqlserver(1 << 75, 1), {}),
        (sqlserver((1 << 75) + 1, None, None), READ),
    ],
    "db2": [(db2(9, 8), {}), (db2(10, 3), {}), (db2(10, 4), {}), (db2(10, None), READ), (db2(11, 1), {}), (db2(1 << 60, 1), {})],
    "oracle": [
        (oracle(1240, 1239), {}),
        (oracle(None, 1250), READ),
        (oracle(1251, 1238, 0, 3), {}),
        (oracle(1251, 1240, 0, 1), {}),
        (oracle(1251, 1240, 1, 1), {}),
        (oracle(1251, 1240, 0, 2), {}),
        (oracle(2**50, 2**49), {}),
    ],
    "mongodb": [
        (mongodb(AT, 1), {}),
        (mongodb(AT, 2), {"order": 1}),
        (mongodb(AT, 2), {"order": 2}),
        (mongodb(AT, 3), {}),
        (mongodb(AT, 3), READ),
        (mongodb(AT + 1000, 1), {}),
    ],
    "mysql beyond 4 GiB": [
        (mysql(7, 2**32 - 200), {}),
        (mysql(7, -100), {}),
        (mysql(7, 2**32), {}),
        (mysql(7, 2**32, 5_000), {}),
        (mysql(7, 2**40), {}),
        (mysql(8, 4), {}),
    ],
    "another": [({"connector": "informix", "ts_ms": AT}, {"order": number}) for number in (1, 2, 30)],
}  # fmt: skip


@pytest.mark.parametrize("connector", HISTORIES)
def test_changes_of_one_log_are_ordered_by_their_places_whatever_their_clock(connector):
    history = [event(source, f"v{number}", **more) for number, (source, more) in enumerate(HISTORIES[connector])]
    for earlier, later in pairwise(history):
        assert earlier.version < later.version
        assert later.version > earlier.version
    for three in permutations(history, 3):
        assert merge_all(three).facets[ITEM_FACET].values() == max(three, key=history.index).fields


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (sqlserver(0x40, 0x12, 2), sqlserver(0x40, 0x13, 2)),
        (oracle(1251, 1240), oracle(1251, 1241)),
        (mongodb(AT, 1), mongodb(AT, 2)),
    ],
)
def test_a_row_deleted_and_inserted_again_in_one_transaction_is_alive(first, second):
    for history in permutations([event(first, None), event(second, "again", op="c")]):
        assert merge_all(history).alive
    for history in permutations([event(first, "gone", op="c"), event(second, None)]):
        assert not merge_all(history).alive


def test_the_log_goes_before_a_clock_that_was_set_back():
    before, after = event(sqlserver(5, 1)), event(sqlserver(6, 1) | {"ts_ms": AT - 3_600_000}, "later")
    assert merge_all([after, before]).facets[ITEM_FACET].values()["title"] == "later"


def test_a_change_committed_while_a_snapshot_was_read_goes_before_the_row_that_was_read():
    read = event(sqlserver(5, None, None) | {"ts_ms": AT + 60_000}, "as it was", op="r")
    meanwhile = event(sqlserver(6, 1) | {"ts_ms": AT + 1_000}, "as it is")
    assert merge_all([meanwhile, read]).facets[ITEM_FACET].values()["title"] == "as it is"


STORED = (
    b'{"item":{"f":{"title":"stored"},"s":[0,1760000000000000,"%s"],"t":1760000000000000},'
    b'"price":{"f":{"price":95.0},"s":[0,8412,"51f3"]}}'
)
"""As the release before stored a row of SQL Server: counted by its commit clock, without a place."""


@pytest.mark.parametrize("digest", [b"0000000000000000", b"ffffffffffffffff"])
def test_a_row_stored_before_there_were_places_loses_to_newer_changes_only(digest):
    stored = ItemState.from_bytes(STORED % digest)
    older = event(sqlserver(0x30, 1) | {"ts_ms": AT - 1}, "older")
    of_its_transaction = event(sqlserver(0x40, 1), "older, of the same transaction")
    newer = event(sqlserver(0x50, 1) | {"ts_ms": AT + 1}, "newer")

    assert stored.to_bytes() == STORED % digest
    for again in (older, of_its_transaction):
        redriven, _ = stored.merge(again)
        assert redriven.facets[ITEM_FACET].values() == {"title": "stored"}
        assert redriven.merge(again) == (redriven, MergeOutcome.DUPLICATE)
        assert redriven.merge(newer)[0].facets[ITEM_FACET].values()["title"] == "newer"
        assert merge_all([newer, again], stored).facets[ITEM_FACET].values()["title"] == "newer"
    merged, outcome = stored.merge(newer)
    assert outcome is MergeOutcome.APPLIED
    assert merged.facets[FacetKey("price")] == stored.facets[FacetKey("price")]
    assert ItemState.from_bytes(merged.to_bytes()) == merged


def test_a_value_that_newer_places_cannot_give_is_that_of_the_row_stored_before():
    stored = merge_all(
        [ChangeEvent(SkuKey.of("t", "A"), ITEM_FACET, SourceVersion(0, 5), {"title": "a", "description": "long"})]
    )
    lacking = ChangeEvent(
        SkuKey.of("t", "A"), ITEM_FACET, SourceVersion(0, 6, 1), {"title": "b"}, frozenset({"description"})
    )
    assert stored.merge(lacking)[0].facets[ITEM_FACET].values() == {"title": "b", "description": "long"}


def test_a_place_survives_the_canonical_event():
    for source, more in HISTORIES["oracle"]:
        sent = event(source, "x", **more)
        [received] = PARSER.parse(None, encode_event(sent)).events  # type: ignore[union-attr]
        assert received == sent


@pytest.mark.parametrize("position", ["", "g", "1" * 81, 5, "0x1", "-1"])
def test_a_position_of_another_form_is_refused(position):
    value = {"sku": "A", "version": {"sequence": 1, "position": position}, "fields": {"title": "t"}}
    with pytest.raises(InvalidEventError, match="hexadecimal"):
        PARSER.parse(None, orjson.dumps(value))


@pytest.mark.parametrize(
    "source",
    [
        sqlserver(1, 1) | {"commit_lsn": "xyz"},
        sqlserver(1, 1) | {"change_lsn": 5},
        sqlserver(1, 1) | {"commit_lsn": ":".join(["0"] * 5)},
        oracle(1, 1) | {"scn": "-5"},
        oracle(1, 1) | {"commit_scn": "9" * 30},
    ],
)
def test_a_place_of_another_form_is_refused(source):
    with pytest.raises(InvalidEventError, match=r"source\."):
        event(source)


def test_a_source_that_does_not_say_its_place_counts_by_its_clock_and_without_one_by_the_connectors():
    assert event({"connector": "sqlserver", "ts_ms": AT}).version == SourceVersion(0, AT * 1_000)
    for unknown in (0, -1, None):
        assert event({"connector": "informix", "ts_ms": unknown}).version == SourceVersion(0, (AT + 500) * 1_000)
        changed = event(sqlserver(1, 1) | {"ts_ms": unknown})
        assert changed.changed_at_us == 0
        assert changed.version.position is not None


def test_the_version_above_a_placed_one_is_placed():
    placed = event(sqlserver(5, 1)).version
    assert next_version(placed) > placed
    assert next_version(placed).position == (placed.position or 0) + 1
    last = SourceVersion.of(1, 0, 2**320 - 1)
    assert next_version(last) == SourceVersion(1, 0)
