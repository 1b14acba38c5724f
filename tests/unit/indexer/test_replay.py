"""Replay: what a selection takes, that it cannot go backwards, and that it goes on where it was interrupted."""

import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from indexer.journal import SqliteChangeJournal
from indexer.records import InboundRecord, LogId
from indexer.replay.replayer import ReplayCheckpoint, Replayed, Replayer, digest_of
from indexer.replay.selection import Selection
from indexer.replay.sources import JournalReplaySource
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointPayload, PointWrite
from schemas.errors import InvalidEventError, InvalidRequestError, LogUnavailableError
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from tests.support.indexing.fakes import TOPIC, DocumentLog, FakeClock, event, make_pipeline, record, records_of

LOG = LogId("log-1")
HISTORY = [
    event("A1", "item", 1, {"title": "Hex bolt"}),
    event("A1", "price", 2, {"price": 2.5}),
    event("A1", "stock:one", 3, {"stock": 4.0}),
    event("B1", "item", 4, {"title": "Nut"}),
    event("B1", "item", 5, None),
]


class Setting:
    def __init__(self, journal: SqliteChangeJournal) -> None:
        self.index, self.log, self.clock = MemoryIndex(), DocumentLog(), FakeClock()
        self.slept: list[float] = []
        self.pipeline = make_pipeline(self.index, publisher=self.log, clock=self.clock)
        self.replayer = Replayer(
            JournalReplaySource(journal), self.pipeline, self.index, EventParser(),
            clock=self.clock, rng=random.Random(1), sleep=self._sleep,
        )  # fmt: skip

    async def _sleep(self, delay: float, /) -> None:
        self.slept.append(delay)
        self.clock.advance(delay)

    async def run(self, *, apply: bool = True, checkpoint: ReplayCheckpoint | None = None, rate: float | None = None, on_progress: Callable[[Replayed], None] | None = None, **selection: Any) -> Replayed:  # fmt: skip
        return await self.replayer.run(
            Selection.of(selection), apply=apply, checkpoint=checkpoint, records_per_s=rate, on_progress=on_progress
        )


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteChangeJournal]:
    journal = SqliteChangeJournal.open(tmp_path / "journal.db")
    await journal.append(LOG, [*records_of(HISTORY), record(b"bad", 5), record(None, 6)])
    yield journal
    await journal.close()


async def test_a_dry_run_counts_compares_and_changes_nothing(journal: SqliteChangeJournal) -> None:
    setting = Setting(journal)
    counts = await setting.run(apply=False)
    assert (counts.read, counts.selected, counts.poison, counts.ignored, counts.events) == (7, 7, 1, 1, 5)
    assert (counts.applied, counts.duplicates, counts.stale) == (5, 0, 0)
    assert counts.by_facet == {"item": 3, "price": 1, "stock:one": 1}
    assert counts.by_tenant == {"acme": 5}
    assert len(counts.products) == 2
    assert setting.log.documents == []
    assert await setting.index.counts() == await MemoryIndex().counts()


async def test_a_replay_into_nothing_rebuilds_and_a_second_changes_nothing(journal: SqliteChangeJournal) -> None:
    setting = Setting(journal)
    assert (await setting.run()).applied == 5
    before = len(setting.log.documents)
    again = await setting.run()
    assert (again.applied, again.duplicates + again.stale) == (0, 5)
    assert len(setting.log.compacted()) == 2
    assert setting.log.compacted()[SkuKey.of("acme", "B1")].deleted
    assert len(setting.log.documents) - before <= 2


async def test_it_cannot_go_backwards(journal: SqliteChangeJournal) -> None:
    setting = Setting(journal)
    await setting.pipeline.process(records_of([event("A1", "item", 50, {"title": "Newer"})]))
    await setting.pipeline.process(records_of([event("B1", "item", 60, None)]))
    counts = await setting.run(facets=["item"])
    assert (counts.applied, counts.stale) == (0, 3)
    assert setting.log.compacted()[SkuKey.of("acme", "A1")].title == "Newer"
    assert not (await setting.index.read([SkuKey.of("acme", "B1")]))[SkuKey.of("acme", "B1")].alive


@pytest.mark.parametrize(
    ("selection", "events"),
    [
        ({}, 5),
        ({"skus": ["A1"]}, 3),
        ({"skus": ["A1"], "facets": ["price"]}, 1),
        ({"facets": ["stock"]}, 1),
        ({"facets": ["stock:two"]}, 0),
        ({"tenant": "acme"}, 5),
        ({"tenant": "bolt"}, 0),
        ({"partitions": [0]}, 5),
        ({"partitions": [1]}, 0),
        ({"since_ms": 1_700_000_100_003}, 2),
        ({"until_ms": 1_700_000_100_003}, 3),
        ({"since_ms": 1_700_000_100_001, "until_ms": 1_700_000_100_003}, 2),
    ],
)
async def test_a_selection_takes_what_it_says(
    journal: SqliteChangeJournal, selection: dict[str, Any], events: int
) -> None:
    assert (await Setting(journal).run(apply=False, **selection)).events == events


@pytest.mark.parametrize(
    ("offsets", "taken"),
    [
        (["0:3"], [3, 4, 5]),
        (["0:1-2"], [1, 2]),
        (["1:0"], []),
        (["other/0:0"], []),
        (["0:0-0", f"{TOPIC}/0:4"], [0, 4, 5]),
    ],
)
def test_offsets_choose_records(offsets: list[str], taken: list[int]) -> None:
    selection = Selection.of({"offsets": offsets})
    assert [n for n in range(6) if selection.takes_record(InboundRecord(TOPIC, 0, n, 0, b"", b""))] == taken
    assert Selection.of(selection.to_json()) == selection


@pytest.mark.parametrize(
    "raw",
    [
        {"offsets": ["x"]},
        {"offsets": ["1-2"]},
        {"since_ms": 5, "until_ms": 5},
        {"facets": ["Price"]},
        {"tenant": "a/b"},
    ],
)
def test_what_cannot_be_selected_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises((InvalidRequestError, InvalidEventError)):
        Selection.of(raw)


async def test_offsets_mean_nothing_over_the_journal(journal: SqliteChangeJournal) -> None:
    with pytest.raises(InvalidRequestError, match="select by time"):
        await Setting(journal).run(offsets=["0:1"])


async def test_an_interrupted_replay_goes_on_where_it_stopped(tmp_path: Path) -> None:
    journal = SqliteChangeJournal.open(tmp_path / "long.db")
    for log in ("one", "two"):
        events = [event(f"S{log}{n}", "item", n + 1, {"title": "Bolt"}) for n in range(700)]
        await journal.append(LogId(log), records_of(events))
    checkpoint = ReplayCheckpoint.of(tmp_path, Selection.of({}))

    def power_cut(counts: Replayed) -> None:
        if counts.read >= 700:
            raise KeyboardInterrupt

    first, second = Setting(journal), Setting(journal)
    with pytest.raises(KeyboardInterrupt):
        await first.run(checkpoint=checkpoint, on_progress=power_cut)
    assert checkpoint.load() is not None
    await journal.append(LogId("two"), [record(event("late", "item", 1, {"title": "Nut"}), 900)])
    rest = await second.run(checkpoint=checkpoint)
    done = (await first.index.counts()).alive + (await second.index.counts()).alive
    assert (done, rest.read) == (1400, 1400 - (await first.index.counts()).alive)
    assert checkpoint.load() is None
    await journal.close()


async def test_an_interrupted_replay_skips_nothing_when_old_records_are_forgotten_meanwhile(tmp_path: Path) -> None:
    journal = SqliteChangeJournal.open(tmp_path / "long.db")
    events = [event(f"S{n}", "item", n + 1, {"title": "Bolt"}) for n in range(1_200)]
    await journal.append(LOG, records_of(events))
    await journal.mark_applied(LOG, {(TOPIC, 0): 1_200})
    checkpoint = ReplayCheckpoint.of(tmp_path, Selection.of({}))

    def power_cut(counts: Replayed) -> None:
        raise KeyboardInterrupt

    setting = Setting(journal)
    for _ in range(2):  # each after a page of 500
        with pytest.raises(KeyboardInterrupt):
            await setting.run(checkpoint=checkpoint, on_progress=power_cut)
    read = (await setting.index.counts()).alive
    assert await journal.prune(logged_before_ms=records_of(events)[400].timestamp_ms)
    await setting.run(checkpoint=checkpoint)
    assert read < 1_200
    assert (await setting.index.counts()).alive == 1_200
    await journal.close()


async def test_what_was_meant_when_a_replay_began_is_gone_on_with(journal: SqliteChangeJournal, tmp_path: Path) -> None:
    """ "The last two hours" is said again some minutes after the interruption."""
    asked = digest_of({"since": "2h"})
    first, later = Selection.of({"since_ms": 1_700_000_100_000}), Selection.of({"since_ms": 1_700_000_100_004})
    ReplayCheckpoint.of(tmp_path, first, asked).save(first, {"after": 2, "end": 7}, at_us=77)
    setting = Setting(journal)
    checkpoint = ReplayCheckpoint.of(tmp_path, later, asked)
    counts = await setting.run(checkpoint=checkpoint, since_ms=later.since_ms)
    assert (counts.read, counts.selected, counts.interrupted_us) == (5, 5, 77)
    assert checkpoint.load() is None


async def test_a_name_alone_is_no_right_to_go_on_with_anothers_replay(
    journal: SqliteChangeJournal, tmp_path: Path
) -> None:
    others = Selection.of({"tenant": "bolt"})
    checkpoint = ReplayCheckpoint.of(tmp_path, others, "abc")
    checkpoint.save(others, {"after": 2, "end": 7}, at_us=77)
    counts = await Setting(journal).run(checkpoint=checkpoint, tenant="acme")
    assert (counts.read, counts.interrupted_us, counts.by_tenant) == (7, 0, {"acme": 5})


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"read": 5, "total": 9}', b'{"selection": {"tenant": "a/b"}, "position": {}, "at_us": 1}'])  # fmt: skip
def test_a_checkpoint_that_cannot_be_understood_counts_as_none(tmp_path: Path, content: bytes) -> None:
    checkpoint = ReplayCheckpoint.of(tmp_path, Selection.of({}))
    checkpoint.path.write_bytes(content)
    assert checkpoint.load() is None


async def test_the_rate_is_kept(journal: SqliteChangeJournal) -> None:
    setting = Setting(journal)
    await setting.run(rate=2.0)
    assert sum(setting.slept) == pytest.approx(7 / 2)


async def test_a_dependency_that_is_away_is_waited_for(journal: SqliteChangeJournal) -> None:
    setting = Setting(journal)
    setting.log.fail_next = LogUnavailableError()
    counts = await setting.run()
    assert counts.applied + counts.duplicates + counts.stale == 5
    assert len(setting.log.compacted()) == 2
    assert len(setting.slept) == 1


@pytest.mark.parametrize("apply", [False, True])
async def test_a_state_that_cannot_be_read_is_counted_and_the_other_products_go_on(
    journal: SqliteChangeJournal, *, apply: bool
) -> None:
    setting = Setting(journal)
    bad = SkuKey.of("acme", "A1")
    await setting.index.write([PointWrite(bad, None, PointPayload(1, alive=True, state=b"{torn"))])
    counts = await setting.run(apply=apply)
    assert counts.set_apart == 1
    assert (counts.events, counts.poison) == (5, 1)
    assert counts.applied == 2, "the other product's"
    assert {key.sku for key in setting.log.compacted()} == ({"B1"} if apply else set())
