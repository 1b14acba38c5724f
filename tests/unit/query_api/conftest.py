"""The application over the small catalogue, ready to be called."""

import pytest
from structlog.testing import capture_logs

from tests.unit.query_api.app_under_test import Stores, serving


@pytest.fixture
async def stores():
    made = Stores()
    await made.embed()
    return made


@pytest.fixture
async def client(stores):
    async with serving(stores.app()) as caller:
        yield caller


@pytest.fixture(autouse=True)
def quiet():
    """Logs are kept from the terminal: rendering a traceback for people takes seconds."""
    with capture_logs():
        yield
