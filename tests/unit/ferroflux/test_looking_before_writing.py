"""`ingest` and `produce` look before they write: what could not win or would freeze is refused, what is older is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import orjson
import pytest
import typer

from ferroflux.cli.main import main
from ferroflux.cli.use import ingest, produce
from ferroflux.ingest.columns import ColumnMapping
from ferroflux.ingest.convert import PRICE_FACET, RowConverter
from ferroflux.ingest.held.gate import Gate
from ferroflux.ingest.held.verdict import Rules
from ferroflux.ingest.held.versions import Held, VersionRefusedError
from ferroflux.ingest.resume import Checkpoint, RunState
from ferroflux.ingest.rows import RowSource
from ferroflux.ingest.run import IngestReport, IngestRun
from ferroflux.ingest.targets import EncodedChange
from schemas.api.limits import MAX_CHANGE_BYTES
from schemas.identity import SkuKey, TenantId
from schemas.product.changes import ITEM_FACET, FacetKey
from schemas.product.sources import DEFAULT_SOURCE, FIRST_OPERATOR_EPOCH, SourceEntry, SourceHistory
from schemas.version import SourceVersion, Stamp
from tests.support.clock import ClockOf
from tests.support.held_versions import MemoryHeldVersions

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000
LSN = 98_765_432_109


class Target:
    """Keeps what it is sent, and by that what is held afterwards."""

    name = "http://up"
    largest_change_bytes = MAX_CHANGE_BYTES

    def __init__(self, held: MemoryHeldVersions) -> None:
        self.sent: list[dict] = []
        self._held = held

    async def send(self, changes: Sequence[EncodedChange], **_: object) -> None:
        for change in changes:
            event = change.event  # type: ignore[attr-defined]
            self.sent.append(orjson.loads(change.value))
            before = self._held.held.get((event.key, event.facet))
            if before is None or event.stamp > before.stamp:
                self._held.held[event.key, event.facet] = Held(event.stamp)

    async def send_each(self, changes: Sequence[EncodedChange]) -> list[None]:
        await self.send(changes)
        return [None] * len(changes)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class Shop:
    """A file, a target, and what it holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held = MemoryHeldVersions(now_us=NOW)
        self.target = Target(self.held)
        self.notes: list[str] = []
        self.rejected: list[str] = []
        self.gate_source = DEFAULT_SOURCE

    def holds(
        self, sku: str, sequence: int, *, epoch: int = 0, facet: FacetKey = ITEM_FACET, digest: str = "m"
    ) -> None:
        self.held.held[SkuKey.of("norte", sku), facet] = Held(Stamp(SourceVersion(epoch, sequence), digest))

    def gate(self, *, by_clock: bool = True, force: bool = False, local_us: int = NOW) -> Gate:
        rules = Rules("--sequence", by_clock=by_clock)
        return Gate(
            self.held,
            rules,
            self.gate_source,
            force=force,
            on_note=self.notes.append,
            clock=ClockOf(lambda: local_us / 1e6),
        )

    async def ingest(self, rows: Sequence[dict], gate: Gate | None, *, first: int = NOW) -> IngestReport:
        file = self.folder / "rows.jsonl"
        file.write_bytes(b"\n".join(map(orjson.dumps, rows)))
        checkpoint = Checkpoint.load(self.folder / "state", "run", RunState(file="", target="", first_sequence=first))
        converter = RowConverter(ColumnMapping({}), checkpoint.state.first_sequence, tenant="norte")
        run = IngestRun(RowSource(file), converter, self.target, checkpoint, batch_rows=5, gate=gate)  # type: ignore[arg-type]
        run.on_reject = lambda row: self.rejected.append(row.reason)
        return await run.run()

    def skus(self) -> list[str]:
        return [one["sku"] for one in self.target.sent]

    def checkpoints(self) -> list[Path]:
        return list((self.folder / "state").glob("*"))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def rows(count: int, **cells: object) -> list[dict]:
    return [{"sku": f"S{n}", "title": f"t{n}", **cells} for n in range(count)]


async def test_a_first_load_is_sent_whole_with_one_look_a_batch(shop) -> None:
    report = await shop.ingest(rows(12, price=3), shop.gate())
    assert (report.rows, report.changes, report.older, report.rejected) == (12, 24, 0, 0)
    assert [len(look) for look in shop.held.looks] == [10, 10, 4]
    assert shop.notes == []


async def test_a_newer_file_by_the_same_clock_is_sent(shop) -> None:
    await shop.ingest(rows(12), shop.gate(), first=NOW - DAY)
    report = await shop.ingest(rows(12), shop.gate())
    assert (report.changes, report.equal, report.older) == (12, 0, 0)


async def test_the_same_file_with_the_same_versions_is_there_already_and_no_change(shop) -> None:
    await shop.ingest(rows(12), shop.gate())
    report = await shop.ingest(rows(12), shop.gate())
    assert (report.changes, report.equal, report.older, report.rejected) == (0, 12, 0, 0)


async def test_a_file_over_log_positions_is_sent_once_its_facet_was_handed_to_it(shop) -> None:
    shop.holds("S0", 98_765_432_109)
    with pytest.raises(VersionRefusedError, match="freeze"):
        await shop.ingest(rows(1), shop.gate())
    shop.held.sources = SourceHistory(
        [
            SourceEntry(TenantId("norte"), ITEM_FACET, "erp", 0),
            SourceEntry(TenantId("norte"), ITEM_FACET, DEFAULT_SOURCE, FIRST_OPERATOR_EPOCH),
        ]
    )
    assert (await shop.ingest(rows(1), shop.gate())).changes == 1
    shop.holds("S0", NOW - DAY, epoch=FIRST_OPERATOR_EPOCH)
    assert (await shop.ingest(rows(1), shop.gate())).changes == 1
    shop.holds("S0", NOW + 60, epoch=FIRST_OPERATOR_EPOCH)
    assert (await shop.ingest(rows(1), shop.gate())).older == 1


async def test_a_file_of_a_source_that_does_not_feed_the_facet_is_refused_with_that_reason(shop) -> None:
    shop.held.sources = SourceHistory([SourceEntry(TenantId("norte"), ITEM_FACET, "erp", 0)])
    with pytest.raises(VersionRefusedError, match="never was declared"):
        await shop.ingest(rows(3), shop.gate())
    shop.gate_source = "erp"
    assert (await shop.ingest(rows(3), shop.gate())).changes == 3


async def test_an_older_file_is_told_as_older_and_never_as_changes(shop) -> None:
    await shop.ingest(rows(12), shop.gate())
    sent = len(shop.target.sent)
    report = await shop.ingest(rows(12), shop.gate(), first=NOW - DAY)
    assert (report.rows, report.changes, report.older, report.rejected) == (12, 0, 12, 0)
    assert "than what is there" in report.older_sample
    assert len(shop.target.sent) == sent, "what is older is not sent"


async def test_over_a_databases_positions_a_file_by_the_clock_is_refused_before_anything_is_sent(shop) -> None:
    shop.holds("S3", LSN)
    with pytest.raises(VersionRefusedError, match=r"nothing was sent.*norte/S3.*freeze.*facet handover"):
        await shop.ingest(rows(12), shop.gate())
    assert shop.target.sent == []
    assert shop.checkpoints() == [], "a later run of the file gets versions of its own"


async def test_rows_that_cannot_be_read_are_not_the_first_that_decide(shop) -> None:
    shop.holds("S0", LSN)
    with pytest.raises(VersionRefusedError, match="freeze"):
        await shop.ingest([*({"sku": f"B{n}"} for n in range(7)), *rows(12)], shop.gate())
    assert shop.target.sent == []


async def test_a_row_found_later_that_would_freeze_is_left_out_whole_with_its_reason(shop) -> None:
    shop.holds("S7", LSN)
    report = await shop.ingest(rows(12, price=3), shop.gate())
    assert (report.rows, report.changes, report.rejected, report.refused) == (12, 22, 1, 1)
    assert "S7" not in shop.skus(), "its price neither"
    assert ["freeze" in reason for reason in shop.rejected] == [True]


async def test_price_and_stock_are_facets_of_their_own(shop) -> None:
    shop.holds("S1", LSN, facet=FacetKey("price:wholesale"))
    shop.holds("S1", NOW - DAY)
    report = await shop.ingest(rows(3, price=3, stock=4), shop.gate())
    assert (report.changes, report.rejected) == (9, 0)


async def test_a_row_whose_price_is_older_still_gives_its_text(shop) -> None:
    shop.holds("S1", NOW + 1_000_000, facet=PRICE_FACET)
    report = await shop.ingest(rows(3, price=3), shop.gate())
    assert (report.changes, report.older) == (5, 1)


async def test_a_file_that_can_win_nowhere_is_refused_and_one_that_can_somewhere_is_not(shop) -> None:
    for n in range(5):
        shop.holds(f"S{n}", NOW)
    with pytest.raises(VersionRefusedError, match="never win"):
        await shop.ingest(rows(12), shop.gate(by_clock=False), first=1)
    assert shop.target.sent == []
    del shop.held.held[SkuKey.of("norte", "S0"), ITEM_FACET]
    report = await shop.ingest(rows(12), shop.gate(by_clock=False), first=1)
    assert (report.changes, report.refused) == (8, 4)


async def test_after_a_load_that_was_a_day_ahead_the_corrected_one_is_told_so(shop) -> None:
    await shop.ingest(rows(2, price=10), None, first=NOW + DAY)
    with pytest.raises(VersionRefusedError, match=r"what is there is newer.*ahead of the clock.*facet reset"):
        await shop.ingest(rows(2, price=12), shop.gate())


async def test_force_sends_what_would_freeze_and_says_so(shop) -> None:
    shop.holds("S3", LSN)
    report = await shop.ingest(rows(12), shop.gate(force=True))
    assert (report.changes, report.rejected) == (12, 0)
    assert len(shop.notes) == 1
    assert "--force" in shop.notes[0]


async def test_where_it_cannot_be_looked_everything_is_sent_with_one_warning(shop) -> None:
    shop.holds("S3", LSN)
    shop.held.away = True
    report = await shop.ingest(rows(12), shop.gate())
    assert (report.changes, report.older) == (12, 0)
    assert len(shop.notes) == 1
    assert "was not looked" in shop.notes[0]
    assert "--no-look" in shop.notes[0]


@pytest.mark.parametrize(("ahead_s", "said"), [(2, []), (60, ["60 s ahead of"]), (-7_200, ["7,200 s behind"])])
async def test_a_clock_that_differs_from_the_servers_is_told_once(shop, ahead_s, said) -> None:
    local = NOW + ahead_s * 1_000_000
    report = await shop.ingest(rows(12), shop.gate(local_us=local), first=local)
    assert report.changes == 12
    assert len(shop.notes) == len(said)
    assert all(one in note for one, note in zip(said, shop.notes, strict=True))


async def test_a_clock_that_is_a_day_ahead_stamps_nothing_unless_the_version_is_given(shop) -> None:
    local = NOW + DAY
    with pytest.raises(VersionRefusedError, match=r"24 hours ahead of the clock.*--sequence"):
        await shop.ingest(rows(12), shop.gate(local_us=local), first=local)
    assert shop.target.sent == []
    report = await shop.ingest(rows(12), shop.gate(by_clock=False, local_us=local), first=local)
    assert report.changes == 12
    assert ["lies ahead of the clock" in note for note in shop.notes[-1:]] == [True]


# --- the commands: their words and exit codes


@pytest.fixture
def run(shop: Shop, monkeypatch, capsys, tmp_path) -> Callable[..., tuple[int, str]]:
    def gate_of(*_: object, source: str, option: str, by_clock: bool, force: bool) -> Gate:
        return Gate(shop.held, Rules(option, by_clock), source, force=force, on_note=shop.notes.append)

    shop.held.now_us = None  # the commands stamp by the real clock
    monkeypatch.setattr(ingest, "_target", lambda *_, **__: shop.target)
    monkeypatch.setattr(produce, "HttpTarget", lambda *_, **__: shop.target)
    monkeypatch.setattr(produce, "locate", lambda *_: "http://up")
    for module in (ingest, produce):
        monkeypatch.setattr(module, "gate_of", gate_of)
    monkeypatch.setenv("FERROFLUX_DATA_DIR", str(tmp_path / "data"))

    def command(*arguments: str) -> tuple[int, str]:
        try:
            main(list(arguments))
        except SystemExit as error:
            status = int(error.code or 0)
        except typer.Exit as error:
            status = error.exit_code
        said = capsys.readouterr()
        return status, " ".join((said.out + said.err).split())

    return command


@pytest.fixture
def catalogue(tmp_path: Path) -> str:
    path = tmp_path / "catalogue.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows(3)), encoding="utf-8")
    return str(path)


def test_ingest_ends_with_3_where_rows_were_older(run, catalogue) -> None:
    assert run("ingest", catalogue, "--tenant", "norte", "--sequence", "500")[0] == 0
    status, said = run("ingest", catalogue, "--tenant", "norte", "--sequence", "400")
    assert status == 3
    assert "0 changes to http://up" in said
    assert "3 rows older than what is there" in said
    assert run("ingest", catalogue, "--tenant", "norte", "--sequence", "500")[0] == 0


def test_ingest_ends_with_1_where_rows_are_refused_and_sends_them_when_told_to(run, catalogue, shop) -> None:
    run("ingest", catalogue, "--tenant", "norte", "--sequence", "500")
    status, said = run("ingest", catalogue, "--tenant", "norte")
    assert status == 1
    assert "nothing was sent" in said
    assert "--force" in said
    assert len(shop.target.sent) == 3
    assert run("ingest", catalogue, "--tenant", "norte", "--force")[0] == 0
    assert len(shop.target.sent) == 6


def test_ingest_does_not_look_when_told_not_to(run, catalogue, shop) -> None:
    run("ingest", catalogue, "--tenant", "norte", "--sequence", "500")
    looks = len(shop.held.looks)
    assert run("ingest", catalogue, "--tenant", "norte", "--no-look")[0] == 0
    assert len(shop.held.looks) == looks


PRICE = ("produce", "--tenant", "norte", "--sku", "T1", "--set", "price=99.5")


def test_produce_refuses_what_would_freeze_a_row_that_somebody_counts(run, shop) -> None:
    shop.holds("T1", 8_412, facet=PRICE_FACET)
    status, said = run(*PRICE, "--wait")
    assert status == 1
    assert "not sent" in said
    assert "freeze" in said
    assert "facet handover --help" in said
    assert shop.target.sent == []
    assert run(*PRICE, "--version", "8413")[0] == 0
    assert run(*PRICE, "--force")[0] == 0
    assert len(shop.target.sent) == 2


def test_produce_ends_with_3_where_the_change_is_older(run, shop) -> None:
    shop.holds("T1", 8_412, facet=PRICE_FACET)
    status, said = run(*PRICE, "--version", "8411")
    assert status == 3
    assert "older (0:8411) than what is there (0:8412)" in said
    assert shop.target.sent == []


def test_produce_ends_with_3_where_something_newer_came_while_it_was_on_its_way(run, shop, monkeypatch) -> None:
    send = shop.target.send

    async def overtaken(changes: Sequence[EncodedChange], **options: object) -> None:
        await send(changes, **options)
        shop.holds("T1", 9_000, facet=PRICE_FACET)

    monkeypatch.setattr(shop.target, "send", overtaken)
    status, said = run(*PRICE, "--version", "8413", "--wait")
    assert status == 3
    assert "without effect" in said


def test_produce_of_a_facet_that_nobody_feeds_is_sent(run, shop) -> None:
    shop.holds("T1", LSN)
    assert run(*PRICE)[0] == 0
    assert [one["facet"] for one in shop.target.sent] == ["price"]
