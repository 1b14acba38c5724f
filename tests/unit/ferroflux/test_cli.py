"""Every command explains itself, and a failure is one sentence with an exit code, never a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from ferroflux.cli.check import doctor
from ferroflux.cli.check.findings import Finding, Health
from ferroflux.cli.main import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_TRY_AGAIN, main
from ferroflux.cli.registry import COMMANDS
from ferroflux.cli.up import folder_option
from ferroflux.cli.use import orders, search
from ferroflux.cli.use.produce import build_event
from ferroflux.cli.use.status import rows
from ferroflux.data_directory import DataDirectory
from schemas.errors import InvalidEventError, InvalidRequestError, LogUnavailableError
from schemas.version import SourceVersion

VERSION = SourceVersion(0, 5)


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch, tmp_path):
    for name in ("FERROFLUX_URL", "FERROFLUX_DEBUG", "FERROFLUX_HTTP__PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FERROFLUX_DATA_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("COLUMNS", "160")
    # Logging belongs to a process: configured in this one it would hold on to the captured streams of this test.
    monkeypatch.setattr("runtime.observability.logs._configure", lambda *_, **__: None)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


@pytest.mark.parametrize("name", [entry.name for entry in COMMANDS])
def test_every_command_has_help(name, capsys) -> None:
    assert run(name, "--help") == 0
    shown = capsys.readouterr().out
    assert f"Usage: ferroflux {name}" in shown


@pytest.mark.parametrize(
    "name", ["up", "indexer", "replica", "api", "ingest", "produce", "search", "status", "doctor", "reconcile"]
)
def test_every_command_that_does_something_shows_an_example(name, capsys) -> None:
    run(name, "--help")
    shown = capsys.readouterr().out
    assert "Example" in shown
    assert f"ferroflux {name}" in shown.split("Example", 1)[1]


def test_the_overview_imports_no_engine() -> None:
    script = (
        "import sys\nfrom ferroflux.cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'polars', 'onnxruntime', 'qdrant_edge', 'tantivy', 'fastapi', 'faststream', 'aiokafka', 'numpy'}\n"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("search", "x"), EXIT_CONFIGURATION, "start one with `ferroflux up`"),
        (("status", "--url", "localhost:80"), EXIT_CONFIGURATION, "begins with http"),
        (("status", "--url", "http://127.0.0.1:9"), EXIT_FAILED, "no ferroflux answers at http://127.0.0.1:9"),
        (("ingest", "absent.csv"), EXIT_CONFIGURATION, "there is no file absent.csv"),
        (("produce", "--tenant", "t", "--sku", "a"), EXIT_FAILED, "nothing to send"),
        (("produce", "--tenant", "t/x", "--sku", "a", "--set", "title=x"), EXIT_FAILED, "tenant 't/x' is not"),
    ],
)
def test_a_failure_is_one_sentence(arguments, code, said, capsys) -> None:
    assert run(*arguments) == code
    told = capsys.readouterr().err
    assert said in told
    assert told.startswith("ferroflux: ")
    assert "Traceback" not in told


def test_debug_shows_the_traceback_too(capsys, monkeypatch) -> None:
    monkeypatch.setenv("FERROFLUX_DEBUG", "1")
    run("search", "x")
    assert "Traceback" in capsys.readouterr().err


def test_a_wrong_variable_is_named(capsys, monkeypatch) -> None:
    monkeypatch.setenv("FERROFLUX_CONSUMER__POLL_MS", "soon")
    assert run("doctor") == EXIT_CONFIGURATION
    assert "FERROFLUX_CONSUMER__POLL_MS" in capsys.readouterr().err


def test_what_may_succeed_later_has_a_code_of_its_own(capsys, monkeypatch) -> None:
    def away(*_: object) -> str:
        raise LogUnavailableError

    monkeypatch.setattr("ferroflux.cli.options.locate", away)
    assert run("status") == EXIT_TRY_AGAIN


@pytest.mark.parametrize(
    ("sets", "facet", "expected"),
    [
        (["title=Clavo"], "", ("item", {"title": "Clavo"})),
        (["price=12.50", "currency=mxn"], "", ("price", {"price": 12.5, "currency": "MXN"})),
        (["stock=4"], "stock:branch-2", ("stock:branch-2", {"stock": 4.0})),
        (["title=x", "price=3"], "item", ("item", {"title": "x", "price": 3.0})),
        (['ean=["75","76"]', "title=a=b"], "", ("item", {"ean": ["75", "76"], "title": "a=b"})),
    ],
)
def test_the_facet_follows_from_the_fields(sets, facet, expected) -> None:
    event = build_event("t", "a", sets, facet, delete=False, version=VERSION)
    assert (event.facet, event.fields) == expected


def test_a_delete_needs_no_fields() -> None:
    assert build_event("t", "a", [], "", delete=True, version=VERSION).is_delete


@pytest.mark.parametrize(
    ("sets", "facet", "delete", "error"),
    [
        (["title=x", "price=3"], "", False, InvalidRequestError),
        (["title=x"], "", True, InvalidRequestError),
        (["title"], "", False, InvalidRequestError),
        (["ean=[1"], "", False, InvalidRequestError),
        (["colour=red"], "", False, InvalidEventError),
        (["price=cheap"], "", False, InvalidEventError),
    ],
)
def test_contradictions_are_refused(sets, facet, delete, error) -> None:
    with pytest.raises(error):
        build_event("t", "a", sets, facet, delete=delete, version=VERSION)


def test_status_is_readable_while_nothing_is_known_yet() -> None:
    empty = dict.fromkeys(("changed_to_visible_ms", "logged_to_visible_ms"))
    assert rows({"catalogue": None, "replica": None, "encoder": None, "freshness": {"window_s": 300, **empty}}) == []


def test_the_examples_of_up_name_a_folder_that_is_not_the_default(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder_option(DataDirectory(tmp_path / ".ferroflux")) == ""
    assert folder_option(DataDirectory(tmp_path / "my data")) == f" --data-dir '{tmp_path}/my data'"


BRACKETS = "Cable [rojo] 12 [/x] AWG"
"""What Rich would take for a style and for the end of one that never began."""


def test_brackets_in_a_title_are_shown_as_they_are(capsys) -> None:
    item = {"sku": "A-[b]", "title": BRACKETS, "brand": "[acme]", "price": 1.0, "currency": "[x]", "stock": None}
    answer = {
        "hits": [{"item": item, "signals": [{"retriever": "text", "rank": 1}]}],
        "total": 1, "truncated": False, "degraded": [], "timings_ms": {"total": 1.0},
    }  # fmt: skip
    search._show(Console(), "shop", answer, 0)
    shown = capsys.readouterr().out
    for text in (BRACKETS, "A-[b]", "[acme]", "1.00 [x]"):
        assert text in shown


def test_brackets_in_an_orders_line_are_shown_as_they_are(capsys) -> None:
    line = {
        "sku": "A-[b]", "title": BRACKETS, "quantity": "2", "unit": "[caja]", "price": "1.00", "amount": "2.00",
        "notices": [],
    }  # fmt: skip
    order = {
        "order_id": "o", "status": "submitted", "thread": "[t]", "lines": [line], "unpriced": 0, "total": "2.00",
        "currency": "[mxn]",
    }  # fmt: skip
    orders._show(Console(), order)
    shown = capsys.readouterr().out
    for text in (BRACKETS, "A-[b]", "2 [caja]", "[t]", "2.00 [mxn]"):
        assert text in shown


def test_the_doctors_remedy_keeps_its_brackets(capsys) -> None:
    doctor._show(Console(), [Finding("torch", Health.OPTIONAL, "not [x]", "pip install 'ferroflux[training]'")])
    shown = capsys.readouterr().out
    assert "pip install 'ferroflux[training]'" in shown
    assert "not [x]" in shown


def test_the_module_runs_as_a_program(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ferroflux.cli.main", "version", "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"ferroflux"' in done.stdout
