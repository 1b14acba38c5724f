"""What an integration test does when something it needs is not on this machine: skip by hand, fail where it counts."""

import os
from typing import NoReturn

import pytest


def integration_required() -> bool:
    """Whether a skipped integration test counts as a failure: under CI, and under `make test`."""
    return os.environ.get("CI") == "true" or os.environ.get("FERROFLUX_REQUIRE_INTEGRATION") == "1"


def unavailable(what: str, remedy: str) -> NoReturn:
    """Skip the test that needs `what`, or fail it where integration is required."""
    message = f"{what} is not here; {remedy}"
    if integration_required():
        pytest.fail(message)
    pytest.skip(message)
