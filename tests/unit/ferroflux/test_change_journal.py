"""The journal on SQLite keeps every record once, survives its process, and knows what was applied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from indexer.journal import SCHEMA_VERSION, SqliteChangeJournal, connect
from indexer.records import InboundRecord, LogId
from schemas.errors import IncompatibleIndexError

LOG = LogId("first-log")
NEXT_LOG = LogId("second-log")


def record(
    offset: int, *, partition: int = 0, topic: str = "warehouse.changes", timestamp_ms: int = 1000
) -> InboundRecord:
    return InboundRecord(
        topic,
        partition,
        offset,
        timestamp_ms,
        key=None if offset % 3 == 0 else f"key-{offset}".encode(),
        value=None if offset % 5 == 4 else bytes([offset % 256]) * 10,
        headers=(("trace", b"\xff\x00"), ("empty", b""), ("null", None)) if offset % 2 else (),
    )


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteChangeJournal]:
    opened = SqliteChangeJournal.open(tmp_path / "journal.db")
    yield opened
    await opened.close()


async def everything(journal: SqliteChangeJournal, **conditions) -> list[InboundRecord]:
    return [kept async for slice_ in journal.read(**conditions) for kept in slice_.records]


async def pending(journal: SqliteChangeJournal) -> list[tuple[str, int, int]]:
    return [(s.log_id, r.partition, r.offset) async for s in journal.unapplied(page=3) for r in s.records]


async def test_reads_back_every_byte_null_and_header(journal: SqliteChangeJournal) -> None:
    records = [record(offset) for offset in range(300)]
    await journal.append(LOG, records)
    assert await everything(journal, page=37) == records


async def test_a_record_appended_again_is_kept_once(journal: SqliteChangeJournal) -> None:
    await journal.append(LOG, [record(0), record(1)])
    await journal.append(LOG, [record(1), record(2), record(2)])
    assert [kept.offset for kept in await everything(journal)] == [0, 1, 2]


async def test_a_record_that_comes_again_has_the_time_of_its_first_keeping(journal: SqliteChangeJournal) -> None:
    await journal.append(LOG, [record(0, timestamp_ms=10)])
    again = [record(0, timestamp_ms=70), record(1, timestamp_ms=70)]
    assert await journal.append(LOG, again) == [record(0, timestamp_ms=10), record(1, timestamp_ms=70)]
    assert await everything(journal) == [record(0, timestamp_ms=10), record(1, timestamp_ms=70)]


async def test_the_same_coordinates_in_another_log_are_another_record(journal: SqliteChangeJournal) -> None:
    await journal.append(LOG, [record(0)])
    await journal.append(NEXT_LOG, [record(0)])
    assert [s.log_id async for s in journal.read()] == [LOG, NEXT_LOG]


async def test_unapplied_begins_at_each_partitions_watermark(journal: SqliteChangeJournal) -> None:
    await journal.append(LOG, [record(o, partition=p) for o in range(4) for p in range(2)])
    await journal.mark_applied(LOG, {("warehouse.changes", 0): 3})
    await journal.append(NEXT_LOG, [record(0)])
    assert sorted(await pending(journal)) == [
        (LOG, 0, 3),
        *((LOG, 1, offset) for offset in range(4)),
        (NEXT_LOG, 0, 0),
    ]


async def test_a_watermark_never_goes_back(journal: SqliteChangeJournal) -> None:
    await journal.append(LOG, [record(o) for o in range(5)])
    await journal.mark_applied(LOG, {("warehouse.changes", 0): 5})
    await journal.mark_applied(LOG, {("warehouse.changes", 0): 2})
    assert await pending(journal) == []


@pytest.mark.parametrize(
    ("conditions", "offsets"),
    [
        ({"topic": "other"}, [7]),
        ({"partition": 1}, [1]),
        ({"since_ms": 2000}, [7]),
        ({"topic": "warehouse.changes"}, [0, 1]),
        ({"topic": "absent"}, []),
    ],
)
async def test_read_narrows_by_topic_partition_and_time(journal: SqliteChangeJournal, conditions, offsets) -> None:
    await journal.append(LOG, [record(0), record(1, partition=1), record(7, topic="other", timestamp_ms=2000)])
    assert [kept.offset for kept in await everything(journal, **conditions)] == offsets


async def test_what_is_appended_while_reading_is_left_for_the_next_read(journal: SqliteChangeJournal) -> None:
    await journal.append(LOG, [record(o) for o in range(4)])
    seen = []
    async for slice_ in journal.read(page=2):
        seen += [kept.offset for kept in slice_.records]
        await journal.append(LOG, [record(100 + len(seen))])
    assert seen == [0, 1, 2, 3]


async def test_survives_being_opened_again(tmp_path: Path) -> None:
    first = SqliteChangeJournal.open(tmp_path / "journal.db")
    await first.append(LOG, [record(0), record(1)])
    await first.mark_applied(LOG, {("warehouse.changes", 0): 1})
    await first.close()
    again = SqliteChangeJournal.open(tmp_path / "journal.db")
    assert await pending(again) == [(LOG, 0, 1)]
    assert (await again.size()).records == 2
    await again.close()


async def test_prune_forgets_only_what_is_old_and_applied(journal: SqliteChangeJournal) -> None:
    await journal.append(LOG, [record(0, timestamp_ms=10), record(1, timestamp_ms=10), record(2, timestamp_ms=99)])
    await journal.mark_applied(LOG, {("warehouse.changes", 0): 1})
    assert await journal.prune(logged_before_ms=50) == 1
    assert [kept.offset for kept in await everything(journal)] == [1, 2]


async def test_the_newest_record_is_kept_so_that_places_never_begin_anew(journal: SqliteChangeJournal) -> None:
    await journal.append(LOG, [record(0, timestamp_ms=10), record(1, timestamp_ms=10)])
    await journal.mark_applied(LOG, {("warehouse.changes", 0): 2})
    end = await journal.end()
    assert await journal.prune(logged_before_ms=50) == 1
    assert await journal.end() == end
    await journal.append(LOG, [record(2, timestamp_ms=60)])
    assert [kept.offset async for slice_ in journal.read(after=end) for kept in slice_.records] == [2]


async def test_a_failed_append_keeps_nothing_of_its_batch(journal: SqliteChangeJournal) -> None:
    broken = InboundRecord("warehouse.changes", 0, 2**70, 0, None, None)
    with pytest.raises(OverflowError):
        await journal.append(LOG, [record(0), broken])
    await journal.append(LOG, [record(1)])
    assert [kept.offset for kept in await everything(journal)] == [1]


async def test_concurrent_appends_are_all_kept(journal: SqliteChangeJournal) -> None:
    await asyncio.gather(*(journal.append(LOG, [record(o, partition=p) for o in range(50)]) for p in range(8)))
    assert (await journal.size()).records == 400


def test_a_newer_format_is_refused_with_the_remedy(tmp_path: Path) -> None:
    connection = connect(tmp_path / "journal.db")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(IncompatibleIndexError, match="start the newer ferroflux"):
        SqliteChangeJournal.open(tmp_path / "journal.db")
