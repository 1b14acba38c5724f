"""A run delivers every good row once, in spite of stops, and gives a row the same version each time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import httpx
import orjson
import pytest
from fastapi import FastAPI

from ferroflux.embedded.intake.http import CHANGES_PATH, changes_router
from ferroflux.ingest.columns import ColumnMapping
from ferroflux.ingest.convert import RowConverter
from ferroflux.ingest.resume import Checkpoint, RunState, run_name
from ferroflux.ingest.rows import RowSource
from ferroflux.ingest.run import BATCH_BYTES, BATCH_ROWS, IngestRun
from ferroflux.ingest.targets import EncodedChange, HttpTarget
from runtime.http.problems import install_problem_handlers
from runtime.isolation import DefectError
from runtime.rights.body_gate import BodyBounds, BodyGateMiddleware
from runtime.rights.keys import Access
from schemas.api.limits import MAX_CHANGE_BYTES, MAX_CHANGES, MAX_CHANGES_BYTES
from schemas.errors import InvalidRequestError, LogUnavailableError
from schemas.identity import TenantId


class RecordingTarget:
    name = "recorder"
    largest_change_bytes = MAX_CHANGE_BYTES

    def __init__(self, *, fail_after: int | None = None) -> None:
        self.events: list[dict] = []
        self.batches: list[Sequence[EncodedChange]] = []
        self._left = fail_after

    async def send_each(self, changes) -> list[None]:
        self.batches.append(changes)
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise LogUnavailableError
        self.events += [orjson.loads(change.value) for change in changes]
        return [None] * len(changes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"sku": f"S{n}", "title": f"t{n}"}) if n % 10 else "{bad" for n in range(100)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def make_run(file: Path, target: RecordingTarget, *, first_sequence: int, restart: bool = False) -> IngestRun:
    fresh = RunState(file=str(file), target=target.name, first_sequence=first_sequence)
    checkpoint = Checkpoint.load(file.parent / "state", run_name(file, target.name, ()), fresh, restart=restart)
    converter = RowConverter(ColumnMapping({}), checkpoint.state.first_sequence, tenant="shop")
    return IngestRun(RowSource(file), converter, target, checkpoint, batch_rows=7, in_flight=2)


async def test_every_good_row_is_sent_and_every_bad_one_reported(file) -> None:
    target, rejected = RecordingTarget(), []
    run = make_run(file, target, first_sequence=500)
    run.on_reject = rejected.append
    report = await run.run(samples=3)
    assert (report.rows, report.changes, report.rejected) == (100, 90, 10)
    assert [event["sku"] for event in target.events] == [f"S{n}" for n in range(100) if n % 10]
    assert [row.line for row in rejected] == list(range(1, 100, 10))
    assert len(report.rejections) == 3
    assert report.fraction == 1
    assert not list((file.parent / "state").iterdir())


async def test_an_interrupted_run_goes_on_with_the_versions_it_had(file) -> None:
    first = RecordingTarget(fail_after=5)
    with pytest.raises(LogUnavailableError):
        await make_run(file, first, first_sequence=500).run()
    second = RecordingTarget()
    resumed = make_run(file, second, first_sequence=9_999)
    assert resumed.checkpoint.resumed
    report = await resumed.run()
    assert 0 < report.skipped < 100
    assert report.skipped + report.rows == 100
    versions = {event["sku"]: event["version"]["sequence"] for event in first.events}
    for event in second.events:
        assert versions.setdefault(event["sku"], event["version"]["sequence"]) == event["version"]["sequence"]
    assert versions == {f"S{n}": 500 + n for n in range(100) if n % 10}


async def test_restart_forgets_the_interrupted_run(file) -> None:
    with pytest.raises(LogUnavailableError):
        await make_run(file, RecordingTarget(fail_after=3), first_sequence=500).run()
    again = make_run(file, RecordingTarget(), first_sequence=700, restart=True)
    assert not again.checkpoint.resumed
    assert (await again.run()).rows == 100


def test_another_target_or_other_options_are_another_run(file) -> None:
    names = {run_name(file, "a", ()), run_name(file, "b", ()), run_name(file, "a", ("tenant",))}
    assert len(names) == 3


class RecordingIntake:
    """Takes what the real route has accepted."""

    def __init__(self) -> None:
        self.skus: list[str] = []
        self.requests = 0

    async def take(self, changes, **_: object) -> None:
        self.requests += 1
        self.skus += [change.key.decode().partition("/")[2] for change in changes]


def server(intake: RecordingIntake, *, larger: int = MAX_CHANGES_BYTES) -> httpx.ASGITransport:
    """The real intake route behind the real gate, which lets bodies of `larger` bytes through."""
    app = FastAPI()
    app.state.access = Access({})
    app.include_router(changes_router(intake, TenantId("default")))
    install_problem_handlers(app)
    app.add_middleware(BodyGateMiddleware, access=Access({}), bounds=BodyBounds(1_000, {CHANGES_PATH: larger}))
    return httpx.ASGITransport(app)


def catalogue(folder: Path, rows: Sequence[dict]) -> Path:
    path = folder / "wide.jsonl"
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return path


def run_over_http(file: Path, transport: httpx.AsyncBaseTransport) -> IngestRun:
    target = HttpTarget("http://up", transport=transport)
    checkpoint = Checkpoint.load(file.parent / "state", "run", RunState(file="", target="", first_sequence=1))
    return IngestRun(RowSource(file), RowConverter(ColumnMapping({}), 1, tenant="shop"), target, checkpoint)


WIDE = {"title": "t", "description": "x" * 99_000}


async def test_rows_of_long_texts_go_in_batches_that_the_server_takes(tmp_path) -> None:
    intake = RecordingIntake()
    file = catalogue(tmp_path, [{"sku": f"S{n}", **WIDE} for n in range(100)])
    report = await run_over_http(file, server(intake)).run()
    assert (report.rows, report.rejected) == (100, 0)
    assert sorted(intake.skus) == sorted(f"S{n}" for n in range(100))
    assert intake.requests == 5
    assert BATCH_ROWS * 3 <= MAX_CHANGES
    assert BATCH_BYTES + MAX_CHANGE_BYTES < MAX_CHANGES_BYTES


TOO_LARGE = {"title": "t", "description": "x" * 100_000, **{f"a{n}": "\N{SNOWMAN}" * 1_900 for n in range(290)}}


async def test_a_row_that_is_too_large_is_a_rejected_row_and_the_run_goes_on(tmp_path) -> None:
    intake, rejected = RecordingIntake(), []
    good = [{"sku": f"S{n}", "title": "t", "price": 1, "stock": 2} for n in range(6)]
    file = catalogue(tmp_path, [*good[:3], {"sku": "HUGE", "price": 3, **TOO_LARGE}, *good[3:]])
    run = run_over_http(file, server(intake))
    run.on_reject = rejected.append
    report = await run.run()
    assert (report.rows, report.changes, report.rejected) == (7, 18, 1)
    assert set(intake.skus) == {f"S{n}" for n in range(6)}, "nothing of the row is sent, its price neither"
    assert rejected[0].line == 4
    assert "more than the 900000 that are taken: shorten its texts" in rejected[0].reason
    assert orjson.loads(rejected[0].raw)["sku"] == "HUGE"


async def test_a_server_that_takes_less_than_ours_gets_less_and_refuses_single_rows(tmp_path) -> None:
    intake = RecordingIntake()
    rows = [{"sku": f"S{n}", "title": "t", "description": "x" * (9_000 if n == 17 else 900)} for n in range(40)]
    report = await run_over_http(catalogue(tmp_path, rows), server(intake, larger=4_000)).run()
    assert (report.rows, report.rejected) == (40, 1)
    assert sorted(intake.skus) == sorted(f"S{n}" for n in range(40) if n != 17)
    assert report.rejections[0].line == 18
    assert "larger than this installation takes" in report.rejections[0].reason


async def test_a_server_that_refuses_everything_ends_the_run_and_one_that_refuses_us_at_once(tmp_path) -> None:
    file = catalogue(tmp_path, [{"sku": f"S{n}", "title": "t"} for n in range(200)])
    asked: list[int] = []

    def answers(status: int) -> httpx.MockTransport:
        def answer(_: httpx.Request) -> httpx.Response:
            asked.append(status)
            return httpx.Response(status, json={"detail": "no such facet here", "title": "x"})

        return httpx.MockTransport(answer)

    with pytest.raises(InvalidRequestError, match="refused 50 changes in a row, the last: no such facet here"):
        await run_over_http(file, answers(422)).run()
    assert len(asked) < 500
    asked.clear()
    with pytest.raises(InvalidRequestError, match="no such facet here"):
        await run_over_http(file, answers(403)).run()
    assert len(asked) <= 4


async def test_a_row_that_shows_a_defect_is_rejected_and_many_of_them_end_the_run(file, monkeypatch) -> None:
    convert = RowConverter._convert

    def defective(every: int):
        def converted(self, row, number):
            if number % every == 1:
                raise ZeroDivisionError("a defect")
            return convert(self, row, number)

        return converted

    monkeypatch.setattr(RowConverter, "_convert", defective(25))
    report = await make_run(file, RecordingTarget(), first_sequence=1).run()
    assert (report.rows, report.rejected) == (100, 14)
    assert any("unexpected: ZeroDivisionError" in row.reason for row in report.rejections)
    monkeypatch.setattr(RowConverter, "_convert", defective(2))
    with pytest.raises(DefectError, match="conversion of rows"):
        await make_run(file, RecordingTarget(), first_sequence=1).run()


def test_a_row_that_nests_without_end_or_counts_beyond_every_number_is_rejected(tmp_path) -> None:
    deep = '{"sku":"A","title":"t","x":' + '{"a":' * 600 + "1" + "}" * 600 + "}"
    digits = '{"sku":"A","title":"t","lsn":"' + "9" * 5_000 + '"}'
    (tmp_path / "odd.jsonl").write_text(f"{deep}\n{digits}\n", encoding="utf-8")
    converter = RowConverter(ColumnMapping({}), 1, tenant="shop")
    outcomes = [converter.convert(row, n) for n, row in enumerate(RowSource(tmp_path / "odd.jsonl"))]
    assert [(row.line, bool(row.reason)) for row in outcomes] == [(1, True), (2, True)]
