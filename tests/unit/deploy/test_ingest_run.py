"""A run delivers every good row once, in spite of stops, and gives a row the same version each time."""

from __future__ import annotations

import json
from pathlib import Path

import orjson
import pytest

from deploy.ingest.columns import ColumnMapping
from deploy.ingest.convert import RowConverter
from deploy.ingest.resume import Checkpoint, RunState, run_name
from deploy.ingest.rows import RowSource
from deploy.ingest.run import IngestRun
from schemas.errors import LogUnavailableError


class RecordingTarget:
    name = "recorder"

    def __init__(self, *, fail_after: int | None = None) -> None:
        self.events: list[dict] = []
        self._left = fail_after

    async def send(self, changes) -> None:
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise LogUnavailableError
        self.events += [orjson.loads(change.value) for change in changes]


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
