"""What our processes log, on a terminal and for machines: no local variables in tracebacks, no secret in any line."""

import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from runtime.observability.logs import configure_logging

CANARY = "canary-of-a-secret"


class Stream(io.StringIO):
    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture(params=[True, False], ids=["terminal", "lines of JSON"])
def written(request, monkeypatch) -> Iterator[Stream]:
    stream = Stream(terminal=request.param)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("SHOP_API_KEY", f"{CANARY}-of-ours")
    root, level, handlers = logging.getLogger(), logging.getLogger().level, logging.getLogger().handlers[:]
    configure_logging()
    yield stream
    root.handlers, root.level = handlers, level


def fail(password: str) -> None:
    url = f"postgresql://agent:{password}@db.example/agent"
    longer = "x" * 60
    raise ConnectionError(f"{longer} connection to {url} was refused {longer}")


def test_a_traceback_has_neither_local_variables_nor_the_password_in_the_errors_own_words(written):
    try:
        fail(CANARY)
    except ConnectionError:
        structlog.get_logger("ours").exception(
            "no database", settings={"api_key": CANARY, "url": f"redis://:{CANARY}@h"}
        )
        logging.getLogger("theirs").exception("cannot connect to amqp://u:%s@h", CANARY)
    text = written.getvalue()
    assert text.count("ConnectionError") >= 2
    assert CANARY not in text
    assert "db.example" in text.replace("\n", "")


def test_what_the_environment_gave_us_is_hidden_in_whatever_form_it_comes_back(written):
    structlog.get_logger("ours").warning("refused", reason=f"no such user as ({CANARY}-of-ours)")
    logging.getLogger("theirs").warning("tried %s", [f"{CANARY}-of-ours".encode()])
    assert CANARY not in written.getvalue()


def test_a_line_for_machines_stays_json(written):
    structlog.get_logger("ours").info("one", url=f'https://u:{CANARY}\\"@h/?a=b"c', nested={"token": CANARY}, number=3)
    line = written.getvalue().strip().splitlines()[-1]
    assert CANARY not in line
    if not written.isatty():
        assert json.loads(line)["number"] == 3
