"""A canary in every setting that can hold a secret: none is seen in what a process or a command writes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, get_args

import pytest
from pydantic import SecretStr

from ferroflux.cli.main import main
from ferroflux.settings_reference import PROCESSES, variables
from retrieval.encoders.settings import EncoderSettings
from retrieval.generations.fitting import choice_of, encoder_settings
from runtime.observability.redaction import is_secret_name, shown
from schemas.records.generations import EncoderChoice, Generation

pytestmark = pytest.mark.slow

CANARY: Final = "canary-of-a-secret-"
_URL: Final = "http://joe:{canary}@127.0.0.1:1/folder?token={canary}&sig={canary}"
_ADDRESSES: Final = {
    "FERROFLUX_ENCODER__MODEL": _URL,
    "FERROFLUX_ENCODER__SPARSE__MODEL": _URL,
    "FERROFLUX_SEARCH__RERANK__MODEL": _URL,
    "FERROFLUX_SNAPSHOTS__URL": _URL,
    "FERROFLUX_AGENT__CATALOGUE__URL": _URL,
    "FERROFLUX_AGENT__PLANNER__CHEAP__BASE_URL": _URL,
    "FERROFLUX_AGENT__PLANNER__STRONG__BASE_URL": _URL,
    "FERROFLUX_AGENT__DATABASE__URL": "postgresql://agent:{canary}@127.0.0.1:1/agent",
    "FERROFLUX_AGENT__CHECKPOINTS__URL": "redis://:{canary}@127.0.0.1:1/0",
}
_KEYS: Final = {
    "FERROFLUX_KAFKA__SASL_PASSWORD": "{canary}",
    "FERROFLUX_VECTORS__API_KEY": "{canary}",
    "FERROFLUX_HTTP__API_KEYS": '{{"acme": ["{canary}"]}}',
    "FERROFLUX_HTTP__ADMIN_KEYS": '["{canary}"]',
    "FERROFLUX_HTTP__CUSTOMERS": '{{"acme": {{"secret": "{canary}-of-thirty-two-bytes", "audience": "shop"}}}}',
    "FERROFLUX_AGENT__HTTP__API_KEYS": '{{"acme": [{{"key": "{canary}", "roles": ["chat", "orders"]}}]}}',
    "FERROFLUX_AGENT__HTTP__ADMIN_KEYS": '["{canary}"]',
    "FERROFLUX_AGENT__HTTP__CUSTOMERS": '{{"acme": {{"jwks_url": "http://joe:{canary}@127.0.0.1:1/keys", "audience": "shop"}}}}',
    "FERROFLUX_AGENT__CATALOGUE__API_KEYS": '{{"acme": "{canary}"}}',
    "FERROFLUX_AGENT__PLANNER__CHEAP__API_KEY": "{canary}",
    "FERROFLUX_AGENT__PLANNER__STRONG__API_KEY": "{canary}",
}
_HARMLESS: Final = {
    "FERROFLUX_VECTORS__URL": "https://127.0.0.1:1",  # refuses a name, a password and a key by itself
    "FERROFLUX_KAFKA__BOOTSTRAP": "127.0.0.1:1",
}


def environment(folder: Path, process: str = "") -> dict[str, str]:
    """Everything points at a port that nobody listens on; each canary says where it came from."""
    hidden = {
        name: template.format(canary=f"{CANARY}{number:02}")
        for number, (name, template) in enumerate((_ADDRESSES | _KEYS).items())
    }
    if process == "indexer":  # shares the section's name and has no keys
        del hidden["FERROFLUX_HTTP__API_KEYS"]
    return {
        **hidden,
        **_HARMLESS,
        "FERROFLUX_KAFKA__SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "FERROFLUX_KAFKA__SASL_USERNAME": "shop",
        "FERROFLUX_VECTORS__KIND": "qdrant",
        "FERROFLUX_VECTORS__RETRY__ATTEMPTS": "1",
        "FERROFLUX_AGENT__CHECKPOINTS__KIND": "redis",
        "FERROFLUX_AGENT__PLANNER__CHEAP__NAME": "small",
        "FERROFLUX_AGENT__PLANNER__STRONG__NAME": "large",
        "FERROFLUX_TEXT__DIRECTORY": str(folder / "text"),
        "FERROFLUX_ENCODER__CACHE_DIR": str(folder / "models"),
        "FERROFLUX_HTTP__PORT": "0",
        "FERROFLUX_AGENT__HTTP__PORT": "0",
        "FERROFLUX_URL": f"http://joe:{CANARY}url@127.0.0.1:1",
        "FERROFLUX_API_KEY": f"{CANARY}key",
        "FERROFLUX_DEBUG": "1",
    }


def test_every_setting_that_can_hold_a_secret_has_its_canary():
    names = {
        name
        for settings in PROCESSES.values()
        for name, field in variables(settings)
        if name.endswith(("URL", "__MODEL", "BOOTSTRAP", "CUSTOMERS"))
        or is_secret_name(name)
        or SecretStr in (field.annotation, *get_args(field.annotation))
    }
    assert names == (_ADDRESSES | _KEYS | _HARMLESS).keys()


@pytest.mark.parametrize("process", PROCESSES)
def test_the_settings_that_a_process_logs_show_none(process, tmp_path, monkeypatch):
    for name, value in environment(tmp_path, process.split()[1]).items():
        monkeypatch.setenv(name, value)
    settings = PROCESSES[process]()
    assert CANARY not in json.dumps(shown(settings))


@pytest.mark.parametrize("process", PROCESSES)
def test_a_setting_that_is_not_valid_is_named_and_not_repeated(process, tmp_path, monkeypatch):
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FERROFLUX_ENCODER__THREADS", f"http://u:{CANARY}@h")
    monkeypatch.setenv("FERROFLUX_TEXT__HEAP_MB", f"http://u:{CANARY}@h")
    with pytest.raises(ValueError, match="validation error") as refusal:
        PROCESSES[process]()
    assert CANARY not in str(refusal.value)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["indexer"], "indexer starts"),
        (["replica"], "replica starts"),
        (["api"], "api starts"),
        (["api", "--workers", "2"], "api starts"),
        (["agent"], "agent starts"),
    ],
)
def test_a_process_that_starts_and_fails_shows_none(command, told, tmp_path):
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "ferroflux.cli.main", *command],
            env={**os.environ, **environment(tmp_path, command[0])}, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            _until(process, lambda: told in output.read_text(errors="replace"))
            _until(process, lambda: False, most_s=3.0)  # its dependencies are away, and it says so
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    written = output.read_text(errors="replace")
    assert told in written
    assert CANARY not in written
    for file_ in (path for path in tmp_path.rglob("*") if path.is_file() and path != output):
        assert CANARY.encode() not in file_.read_bytes(), file_


def _until(process: subprocess.Popen[bytes], done, most_s: float = 60.0) -> None:
    deadline = time.monotonic() + most_s
    while time.monotonic() < deadline and process.poll() is None and not done():
        time.sleep(0.1)


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["search", "broca", "--tenant", "acme"],
        ["produce", "acme", "A-1", "--set", "title=x"],
        ["aliases", "list", "--tenant", "acme"],
        ["orders", "list", "--tenant", "acme"],
        ["dlq", "list"],
        ["gc"],
        ["generation", "status"],
        ["snapshot", "list"],
        ["snapshot", "list", "--url", f"http://joe:{CANARY}@127.0.0.1:1/x?token={CANARY}"],
        ["snapshot", "list", "--url", f"nosuch://joe:{CANARY}@127.0.0.1:1/x"],
        ["status", "--url", f"ftp://joe:{CANARY}@127.0.0.1:1/x"],
        ["status", f"https://joe:{CANARY}@host/"],
        ["status", "--url", f"https://joe:{CANARY}@127.0.0.1:1/?token={CANARY}"],
        ["doctor", "--json"],
        ["generation", "build", "next", "--model", f"https://joe:{CANARY}@127.0.0.1:1/m?sig={CANARY}"],
    ],
    ids=lambda command: " ".join(command[:3])[:24],
)
def test_a_command_that_fails_shows_none(command, tmp_path, monkeypatch, capfd):
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("runtime.observability.logs._configure", lambda *_, **__: None)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(SystemExit) as end:
        main(command)
    assert end.value.code
    written = "".join(capfd.readouterr())
    assert written
    assert CANARY not in written


def test_a_manifest_holds_no_credentials_and_a_process_that_has_them_uses_its_own():
    url = f"https://joe:{CANARY}@models.example/e5?rev=2&token={CANARY}"
    own = EncoderSettings(model=url, layers="int8", sparse={"model": url})
    choice = choice_of(own)
    assert CANARY not in choice.model_dump_json()
    assert choice.model == "https://models.example/e5?rev=2"
    manifest = _manifest(choice)
    assert encoder_settings(own, manifest).model == url
    assert encoder_settings(own, manifest).sparse.model == url
    assert encoder_settings(EncoderSettings(), manifest).model == "https://models.example/e5?rev=2"


def _manifest(choice: EncoderChoice) -> Generation:
    return Generation(
        name="next", collection="c", documents="d", encoder=choice, revision="r", text_schema="1", analyser="1"
    )
