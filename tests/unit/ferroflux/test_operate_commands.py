"""The operator's commands: times, what they refuse, and that a running system is asked over HTTP."""

import pytest

from ferroflux.cli.main import main
from ferroflux.cli.operate.dlq import _chosen, _listing
from ferroflux.cli.options import duration_s, moment_us, shown
from schemas.errors import InvalidRequestError


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1.5h", 5400), ("15d", 1_296_000)])
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("2h", 10_000_000_000 - 7_200_000_000),
        ("1970-01-02", 86_400_000_000),
        ("1970-01-01T01:00", 3_600_000_000),
        ("1970-01-01T01:00+01:00", 0),
    ],
)
def test_moments(text: str, us: int) -> None:
    assert moment_us(text, now_us=10_000_000_000) == us


@pytest.mark.parametrize("text", ["", "tomorrow", "5", "5 weeks", "-1d"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        duration_s(text)
    with pytest.raises(InvalidRequestError):
        moment_us(text)


def test_times_are_shown_in_utc() -> None:
    assert (shown(86_400_000_000), shown(0)) == ("1970-01-02 00:00:00", "-")


def test_settling_everything_must_be_said() -> None:
    with pytest.raises(InvalidRequestError, match="--all"):
        _chosen(None, "", "", "", "", every=False)
    assert _chosen(None, "", "", "", "", every=True).reason == ""
    assert len(_chosen(["1-2", "1-3"], "", "", "", "", every=False).ids) == 2


@pytest.mark.parametrize("command", [["dlq", "list"], ["gc"], ["replay"], ["dlq", "redrive", "--all"]])
def test_without_a_running_system_the_remedy_is_told(
    command: list[str], tmp_path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FERROFLUX_URL", raising=False)
    with pytest.raises(SystemExit) as ended:
        main([*command, "--data-dir", str(tmp_path)])
    assert ended.value.code == 78
    assert "ferroflux up" in capsys.readouterr().err


def test_a_listing_of_letters_cuts_nothing_that_the_next_command_needs() -> None:
    letter = {
        "id": "3-1042", "time_us": 86_400_000_000, "reason": "missing_key", "tenant": "", "attempt": 2,
        "record": "warehouse.changes.bulk/11@123456789", "detail": "none of the columns that may hold the sku is in the row",
    }  # fmt: skip
    head, first, last = _listing({"open": 7, "letters": [letter]})
    assert head.split() == ["id", "time", "(UTC)", "reason", "tenant", "tries", "record"]
    assert first.splitlines() == [
        "3-1042  1970-01-02 00:00:00  missing_key          2      warehouse.changes.bulk/11@123456789",
        "    none of the columns that may hold the sku is in the row",
    ]
    assert last == "7 open, 1 shown"
