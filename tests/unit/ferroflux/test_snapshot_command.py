"""`ferroflux snapshot` from the command line: over a replica's folder and over that of `ferroflux up`."""

import json
import shutil
from pathlib import Path

import pytest

from ferroflux.cli.main import EXIT_CONFIGURATION, EXIT_FAILED, main
from ferroflux.data_directory import DataDirectory, Ownership, PreviousStop
from retrieval.text.factory import open_reader, open_writer
from retrieval.text.port import Checkpoint
from retrieval.text.settings import TextIndexSettings
from tests.unit.query_api.replica.fakes import document


@pytest.fixture
def replica(monkeypatch, tmp_path) -> Path:
    # Logging belongs to a process: configured in this one it would hold on to the captured streams of this test.
    monkeypatch.setattr("runtime.observability.logs._configure", lambda *_, **__: None)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FERROFLUX_TEXT__DIRECTORY", str(tmp_path / "text"))
    monkeypatch.setenv("FERROFLUX_SNAPSHOTS__URL", f"file://{tmp_path}/snapshots")
    writer = open_writer(TextIndexSettings(directory=tmp_path / "text", heap_mb=15))
    writer.apply([document("A"), document("B")], Checkpoint("log-1", {0: 2}))
    writer.close()
    return tmp_path


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["snapshot", *arguments])
    return int(ended.value.code or 0)


def test_a_snapshot_is_taken_listed_verified_and_restored_elsewhere(replica, capsys, monkeypatch):
    assert run("create", "--json", "--keep", "2") == 0
    taken = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (taken["alive"], taken["log_id"], taken["removed"]) == (2, "log-1", [])
    assert run("list") == 0
    listed = capsys.readouterr().out
    assert taken["id"] in listed
    assert "fits" in listed
    assert run("verify") == 0
    assert "whole; 2 products" in capsys.readouterr().out
    monkeypatch.setenv("FERROFLUX_TEXT__DIRECTORY", str(replica / "other"))
    assert run("restore", taken["id"]) == 0
    assert open_reader(TextIndexSettings(directory=replica / "other")).counts().alive == 2


def test_a_damaged_snapshot_fails_its_verification_and_is_not_restored(replica, capsys, monkeypatch):
    run("create")
    next((replica / "snapshots").glob("*/*.store")).write_bytes(b"x")
    assert run("verify") == 1
    assert "refused" in capsys.readouterr().out
    monkeypatch.setenv("FERROFLUX_TEXT__DIRECTORY", str(replica / "other"))
    assert run("restore") == EXIT_FAILED
    assert "built from the log" in capsys.readouterr().err
    assert not (replica / "other" / "meta.json").exists()


def test_a_restore_over_a_present_index_is_refused(replica, capsys):
    run("create")
    assert run("restore") == EXIT_CONFIGURATION
    assert "holds a text index already" in capsys.readouterr().err


def test_after_a_restore_the_embedded_system_compares_its_stores(replica):
    run("create")
    directory = DataDirectory(replica / "up")
    assert run("restore", "--data-dir", str(directory.root)) == 0
    assert open_reader(TextIndexSettings(directory=directory.text)).counts().alive == 2
    ownership = Ownership.take(directory)
    assert ownership.previous is PreviousStop.KILLED
    assert run("restore", "--data-dir", str(directory.root)) == EXIT_FAILED, "the system runs"
    ownership.release(clean=True)


def test_a_restore_that_was_refused_leaves_the_folder_as_it_was(replica, capsys):
    run("create")
    directory = DataDirectory(replica / "up")
    assert run("restore", "--data-dir", str(directory.root)) == 0
    Ownership.take(directory).release(clean=True)
    directory.journal.touch()
    assert run("restore", "--data-dir", str(directory.root)) == EXIT_CONFIGURATION, "it holds an index"
    assert not directory.running.exists()
    shutil.rmtree(directory.text)  # as the message says
    assert run("restore", "--data-dir", str(directory.root)) == 0


def test_no_url_is_said_so(replica, capsys, monkeypatch):
    monkeypatch.setenv("FERROFLUX_SNAPSHOTS__URL", "")
    assert run("list") == EXIT_CONFIGURATION
    assert "--url or FERROFLUX_SNAPSHOTS__URL must name" in capsys.readouterr().err
