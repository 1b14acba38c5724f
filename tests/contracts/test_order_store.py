"""The contract of orders and outbox on SQLite, and on a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from agent.storage.settings import DatabaseSettings
from tests.contracts.order_store_suite import OrderStoreContract
from tests.support.agent.databases import fresh_postgres


class TestSqlite(OrderStoreContract):
    @pytest.fixture
    def settings(self, tmp_path) -> DatabaseSettings:
        return DatabaseSettings(directory=tmp_path / "agent")


@pytest.mark.integration
class TestPostgres(OrderStoreContract):
    @pytest.fixture
    async def settings(self, postgres) -> AsyncIterator[DatabaseSettings]:
        async with fresh_postgres(postgres) as settings:
            yield settings
