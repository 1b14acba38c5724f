"""Fixture: a demo warehouse of the test's own."""

from collections.abc import AsyncIterator

import pytest

from tests.support.postgres.server import PostgresServer
from tests.support.warehouse.database import Warehouse, demo_warehouse


@pytest.fixture
async def warehouse(postgres: PostgresServer) -> AsyncIterator[Warehouse]:
    """A database with the demo warehouse's tables and rows."""
    async with demo_warehouse(postgres) as found:
        yield found
