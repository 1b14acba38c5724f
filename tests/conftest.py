"""Fixtures that every test may ask for, and the rule that a skipped integration test is a failure where it counts."""

from collections.abc import Generator, Iterator
from typing import Any

import pytest
import structlog

from tests.support.prerequisites import integration_required

pytest_plugins = [
    "tests.support.debezium.fixtures",
    "tests.support.kafka.fixtures",
    "tests.support.postgres.fixtures",
    "tests.support.stack.fixtures",
    "tests.support.warehouse.fixtures",
]


def _plain_logging() -> None:
    """Tracebacks without local variables, as in our processes: those of the default renderer take half a second each."""
    structlog.reset_defaults()
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    processors = [*structlog.get_config()["processors"][:-1], renderer]
    structlog.configure(processors=processors)


_plain_logging()


@pytest.fixture(autouse=True)
def _logging_ends_with_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command under test configures the process's logging; no logger may keep that test's streams after it.

    Until it does, tracebacks are plain, as ours are: structlog's own show all local variables, which may be megabytes.
    """
    configure = structlog.configure
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    configure(processors=[*structlog.get_config()["processors"][:-1], plain])

    def uncached(**options: Any) -> None:
        configure(**{**options, "cache_logger_on_first_use": False})

    monkeypatch.setattr(structlog, "configure", uncached)
    yield
    monkeypatch.undo()
    _plain_logging()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip of an integration test into a failure under CI and `make test`: a test that did not run proves nothing."""
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and integration_required() and item.get_closest_marker("integration"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"this integration test was skipped, which counts as a failure here: {reason}"
    return report
